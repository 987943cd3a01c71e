namespace Kvasir.Wire.Resp;

/// <summary>Where one argument of a request lies.</summary>
/// <param name="Offset">From the first byte of the request.</param>
/// <param name="Length">In bytes.</param>
public readonly record struct ArgumentRange(int Offset, int Length);
