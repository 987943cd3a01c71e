namespace Kvasir.Storage.BTree.Space;

/// <summary>Pages that lie side by side.</summary>
internal readonly record struct PageRun(uint Start, uint Count)
{
    public uint End => Start + Count;
}
