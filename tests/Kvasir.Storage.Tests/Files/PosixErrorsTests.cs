using Kvasir.Storage.Files;
using Kvasir.Storage.Machine;

namespace Kvasir.Storage.Tests.Files;

public sealed class PosixErrorsTests
{
    [Fact]
    public void WhoMayOpenNoMoreFilesIsToldWhichLimitToRaise()
    {
        StorageException failure = PosixErrors.For("open", "/data/x", LibC.TooManyOpenFiles);
        Assert.IsType<DiskFailedException>(failure);
        Assert.StartsWith("open of /data/x failed: ", failure.Message, StringComparison.Ordinal);
        Assert.Contains(" (ulimit -n", failure.Message, StringComparison.Ordinal);
    }
}
