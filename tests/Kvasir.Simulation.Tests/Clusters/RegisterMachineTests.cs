using Kvasir.Simulation.Clusters;
using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Tests.Clusters;

public sealed class RegisterMachineTests
{
    [Fact]
    public void ACommandThatComesTwiceIsAnsweredTwiceAndAppliedOnce()
    {
        var machine = new RegisterMachine();
        Assert.Equal(HistoryValue.Of(1), machine.Apply(new MachineCommand(1, 1, OperationKind.Increment, "x", default)));
        Assert.Equal(HistoryValue.Of(1), machine.Apply(new MachineCommand(1, 1, OperationKind.Increment, "x", default)));
        Assert.Equal(HistoryValue.Of(2), machine.Apply(new MachineCommand(2, 1, OperationKind.Increment, "x", default)));
        Assert.Equal(HistoryValue.Of(3), machine.Apply(new MachineCommand(1, 2, OperationKind.Increment, "x", default)));
        machine.Apply(new MachineCommand(1, 1, OperationKind.Increment, "x", default));
        Assert.Equal(HistoryValue.Of(3), machine.Read("x"));
    }

    [Fact]
    public void AStateThatIsSavedLoadsEqual()
    {
        var machine = new RegisterMachine();
        machine.Apply(new MachineCommand(1, 1, OperationKind.Append, "list", HistoryValue.Of(7)));
        machine.Apply(new MachineCommand(2, 1, OperationKind.Write, "register", HistoryValue.Of(-5)));
        machine.Apply(new MachineCommand(2, 2, OperationKind.CompareAndSet, "register", HistoryValue.Of(HistoryValue.Of(-5), HistoryValue.Of("new"))));
        var writer = new PacketWriter();
        byte[] saved = machine.Save(writer);
        RegisterMachine loaded = RegisterMachine.Load(saved);
        Assert.Equal(saved, loaded.Save(writer));
        Assert.Equal(HistoryValue.Of("new"), loaded.Read("register"));
        Assert.Equal(HistoryValue.Of(1), loaded.Apply(new MachineCommand(2, 2, OperationKind.CompareAndSet, "register", default)));
    }
}
