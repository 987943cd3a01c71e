using Kvasir.Simulation.Models;
using Kvasir.Storage.Engines;

namespace Kvasir.Simulation.Workloads;

/// <summary>One mutation, for a batch and for the model.</summary>
/// <param name="Kind">What it does.</param>
/// <param name="Key">The key, or the start of a range.</param>
/// <param name="Value">The value, or the end of a range, empty for none.</param>
/// <param name="ExpiresAtMs">0 for never.</param>
internal readonly record struct ModelMutation(BatchOperationKind Kind, byte[] Key, byte[] Value, long ExpiresAtMs)
{
    public static ModelMutation Put(byte[] key, byte[] value, long expiresAtMs) => new(
        expiresAtMs == 0 ? BatchOperationKind.Put : BatchOperationKind.PutExpiring, key, value, expiresAtMs);

    public static ModelMutation Delete(byte[] key) => new(BatchOperationKind.Delete, key, [], 0);

    public static ModelMutation DeleteRange(byte[] start, byte[] end) => new(BatchOperationKind.DeleteRange, start, end, 0);

    public void AddTo(WriteBatch batch)
    {
        switch (Kind)
        {
            case BatchOperationKind.Delete:
                batch.Delete(Key);
                break;
            case BatchOperationKind.DeleteRange:
                batch.DeleteRange(Key, Value);
                break;
            default:
                batch.Put(Key, Value, ExpiresAtMs);
                break;
        }
    }

    public OrderedModel ApplyTo(OrderedModel model) => Kind switch
    {
        BatchOperationKind.Delete => model.Delete(Key),
        BatchOperationKind.DeleteRange => model.DeleteRange(Key, Value),
        _ => model.Put(new OrderedRow(Key, Value, ExpiresAtMs)),
    };
}
