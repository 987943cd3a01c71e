using Kvasir.Primitives;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Tests.Lsm.Engine;

namespace Kvasir.Storage.Tests.Lsm.Iterators;

public class MergingIteratorTests
{
    [Fact]
    public void AMergeTurnsRoundAnywhereAndStaysWhereItIs()
    {
        for (ulong seed = 0; seed < 300; seed++)
        {
            var random = new SeededRandom(seed);
            int sourceCount = random.Next(6);
            var parts = new List<FakeVersion>[sourceCount];
            for (int i = 0; i < sourceCount; i++)
                parts[i] = [];
            var all = new List<FakeVersion>();
            for (ulong sequence = 1; sourceCount > 0 && sequence < (ulong)random.Next(1, 40); sequence++)
            {
                byte[] key = new byte[random.Next(3)];
                for (int i = 0; i < key.Length; i++)
                    key[i] = (byte)random.Next(3);
                var version = new FakeVersion(key, new Trailer(sequence, ValueKind.Value), [], 0);
                all.Add(version);
                parts[random.Next(sourceCount)].Add(version);
            }

            all.Sort(FakeVersion.Compare);
            using InternalIterator merged = MergingIterator.Over([.. parts.Select(part =>
            {
                part.Sort(FakeVersion.Compare);
                return new FakeIterator([.. part]);
            })]);
            int at = -1;
            for (int step = 0; step < 200; step++)
            {
                byte[] key = [(byte)random.Next(3)];
                var trailer = new Trailer((ulong)random.Next(40), ValueKind.Value);
                int move = random.Next(at < 0 || at >= all.Count ? 4 : 20);
                switch (move)
                {
                    case 0:
                        merged.SeekToFirst();
                        at = 0;
                        break;
                    case 1:
                        merged.SeekToLast();
                        at = all.Count - 1;
                        break;
                    case 2:
                        merged.Seek(key, trailer);
                        at = all.FindIndex(version => FakeVersion.Compare(version, key, trailer) >= 0);
                        break;
                    case 3:
                        merged.SeekForPrevious(key, trailer);
                        at = all.FindLastIndex(version => FakeVersion.Compare(version, key, trailer) <= 0);
                        break;
                    case < 12:
                        merged.Next();
                        at++;
                        break;
                    default:
                        merged.Previous();
                        at--;
                        break;
                }

                bool valid = at >= 0 && at < all.Count;
                Assert.True(valid == merged.Valid, $"seed {seed}, step {step}");
                if (!valid)
                    continue;
                Assert.True(merged.UserKey.SequenceEqual(all[at].Key), $"seed {seed}, step {step}");
                Assert.Equal(all[at].Trailer, merged.Trailer);
            }
        }
    }
}
