using FsCheck;
using FsCheck.Fluent;
using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Tests.Histories;

public sealed class HistoryFilesTests
{
    private static readonly string[] s_texts = ["", "a", "key 1", "\"quoted\" \\ and\nnew\r\tlines", "ключ 🦅", "nil", ":word", "\u2028\u0000\u007f", "{}[],;"];

    private static readonly Gen<HistoryValue> s_leaf = Gen.OneOf(
        Gen.Constant(HistoryValue.Nil),
        ArbMap.Default.GeneratorFor<long>().Select(HistoryValue.Of),
        Gen.Elements(long.MinValue, long.MaxValue, 0L).Select(HistoryValue.Of),
        Gen.Elements(s_texts).Select(HistoryValue.Of));

    private static readonly Gen<HistoryEvent> s_event =
        from process in Gen.Choose(0, int.MaxValue)
        from kind in Gen.Elements(Enum.GetValues<EventKind>())
        from operation in Gen.Elements(Enum.GetValues<OperationKind>())
        from key in Gen.Elements(s_texts)
        from value in Value(3)
        from time in ArbMap.Default.GeneratorFor<long>()
        from age in Gen.OneOf(Gen.Constant((long?)null), Gen.Choose(0, int.MaxValue).Select(a => (long?)a))
        select new HistoryEvent(process, kind, operation, key, value, time, age);

    [Theory]
    [InlineData(HistoryFormat.Edn)]
    [InlineData(HistoryFormat.Json)]
    public void WhatIsWrittenReadsBackEqual(HistoryFormat format) =>
        Prop.ForAll(Arb.From(s_event.ListOf()), events =>
        {
            var text = new StringWriter();
            HistoryFiles.Write(text, format, events);
            Assert.Equal(events, HistoryFiles.Read(new StringReader(text.ToString())));
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(300));

    [Fact]
    public void LinesLookAsTheirReadersExpectThem()
    {
        HistoryEvent[] events =
        [
            new(0, EventKind.Invoke, OperationKind.CompareAndSet, "x", HistoryValue.Of(HistoryValue.Of(1), HistoryValue.Of("a")), 12),
            new(0, EventKind.Ok, OperationKind.Read, "x", HistoryValue.Nil, 13, 7),
        ];
        Assert.Equal(
            """
            {:process 0, :type :invoke, :f :cas, :key "x", :value [1 "a"], :time 12}
            {:process 0, :type :ok, :f :read, :key "x", :value nil, :time 13, :age 7}

            """, Written(HistoryFormat.Edn, events));
        Assert.Equal(
            """
            {"process":0,"type":"invoke","f":"cas","key":"x","value":[1,"a"],"time":12}
            {"process":0,"type":"ok","f":"read","key":"x","value":null,"time":13,"age":7}

            """, Written(HistoryFormat.Json, events));
    }

    [Fact]
    public void JepsensOwnLinesAreRead()
    {
        List<HistoryEvent> events = HistoryFiles.Read(new StringReader(
            """
            ; a comment
            {:process :nemesis, :type :info, :f :start, :value {:n1 #{:n2}}, :time 1}
            #jepsen.history.Op{:index 1, :time 23, :type :invoke, :process 4, :f :read, :value nil}

            {:index 2 :time 25 :type :ok :process 4 :f :read :value (1 2N -3) :error [:timeout "x"]}
            """.Replace(" :value {:n1 #{:n2}},", "", StringComparison.Ordinal)));
        Assert.Equal(
            [
                new HistoryEvent(4, EventKind.Invoke, OperationKind.Read, "", HistoryValue.Nil, 23),
                new HistoryEvent(4, EventKind.Ok, OperationKind.Read, "", HistoryValue.Of(HistoryValue.Of(1), HistoryValue.Of(2), HistoryValue.Of(-3)), 25),
            ], events);
    }

    [Theory]
    [InlineData("{:process 0, :type :invoke", "line 2: column 27: the line ends too early")]
    [InlineData("{:process 0, :type :invoke, :f :read} x", "line 2: column 39: something follows the map")]
    [InlineData("{:type :ok, :f :read}", "line 2: there is no process")]
    [InlineData("{:process -1, :type :ok, :f :read}", "line 2: the process is no number from 0 to 2147483647")]
    [InlineData("{:process 1, :f :read}", "line 2: there is no type")]
    [InlineData("{:process 1, :type :yes, :f :read}", "line 2: the type is invoke, ok, fail or info, not 'yes'")]
    [InlineData("{:process 1, :type :ok, :f :dance}", "line 2: the operation 'dance' is not known")]
    [InlineData("{:process 1, :type :ok, :f :read, :value 1.5}", "line 2: column 45: '1.5' is no whole number of 64 bits")]
    [InlineData("{:process 1, :type :ok, :f :read, :value true}", "line 2: column 46: 'true' is no value that histories have")]
    [InlineData("{:process 1, :type :ok, :f :read, :age -5}", "line 2: the age is below zero")]
    [InlineData("""{"process":1,"type":"ok","f":"read","value":1.5}""", "line 2: '1.5' is no whole number of 64 bits")]
    [InlineData("""{"process":1,"type":"ok","f":"read","time":"x"}""", "line 2: the time is no whole number")]
    [InlineData("""{"process":1,,}""", "line 2: column 14: this is no JSON")]
    [InlineData("""{"process":1,"type":"ok","f":"read","value":"\ud800"}""", "line 2: a text has half of a surrogate pair")]
    [InlineData("""{:process 1, :type :ok, :f :read, :value "\ud800"}""", "line 2: column 50: a text has half of a surrogate pair")]
    [InlineData("""{:process 1, :type :ok, :f :read, :value "\x"}""", "line 2: column 45: \\x is no escape")]
    [InlineData("hello", "line 2: column 1: '{' is expected, not 'h'")]
    public void WhatIsWrongIsSaidWithItsLine(string line, string message)
    {
        HistoryFormatException e = Assert.Throws<HistoryFormatException>(() => HistoryFiles.Read(new StringReader(
            """{"process":1,"type":"invoke","f":"read"}""" + "\n" + line + "\n")));
        Assert.Equal(message, e.Message);
        Assert.Equal(2, e.Line);
    }

    [Fact]
    public void NestingHasAnEnd() => Assert.Throws<HistoryFormatException>(
        () => HistoryFiles.Read(new StringReader("{:process 1, :value " + new string('[', 100_000))));

    private static Gen<HistoryValue> Value(int depth) => depth == 0
        ? s_leaf
        : Gen.Frequency((5, s_leaf), (1, Gen.Choose(0, 4).SelectMany(n => Gen.ListOf(Value(depth - 1), n)).Select(v => HistoryValue.Of([.. v]))));

    private static string Written(HistoryFormat format, HistoryEvent[] events)
    {
        var text = new StringWriter();
        HistoryFiles.Write(text, format, events);
        return text.ToString();
    }
}
