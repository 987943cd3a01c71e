using System.Runtime.InteropServices;
using Kvasir.Primitives;

namespace Kvasir.Storage.Machine;

/// <summary>
/// Keeps a page of a mapped file that the system cannot bring (its disk fails, somebody cut the file) from ending the process:
/// who touches it reads zeros instead, and the map says from then on that it is broken.
/// </summary>
/// <remarks>
/// <para>
/// The system tells of such a page by SIGBUS on the thread that touched it. The runtime takes that for damage to itself and ends the
/// process; and managed code cannot be the handler, since the thread may be anywhere, in the middle of a collection too. So the handler
/// is a few instructions of machine code that call nothing but mmap(2), which may be called there (signal-safety(7)): they look the
/// address up in a table of guarded maps, set that map's flag, put a page of zeros where the page was, and return; the load is done
/// again. Everything else goes on to the handler that was there before.
/// </para>
/// <para>
/// Linux on x64 only; elsewhere nothing is guarded, and files are read positionally. Thread-safe.
/// </para>
/// </remarks>
internal static unsafe class BusErrorGuard
{
    private const int EntryBytes = 32;
    private const int EntriesMax = 2048;
    private const ulong NoAddress = ulong.MaxValue;

    private static readonly Lock s_lock = new();

    // Start and end of a map, and whether a page of it was lost. The first entry without a start is the end of the table.
    private static ulong* s_table;
    private static int s_used;
    private static bool? s_installed;

    /// <summary>
    /// Guards a map, and returns where it is told that it broke: not zero. Null where that cannot be done. For
    /// <see cref="Release"/> before the map goes.
    /// </summary>
    public static long* TryGuard(byte* start, long length)
    {
        lock (s_lock)
        {
            s_installed ??= TryInstall();
            if (s_installed is false)
                return null;
            ulong* entry = FindFree();
            if (entry is null)
                return null;
            entry[1] = (ulong)start + (ulong)length;
            entry[2] = 0;

            // Last: the handler may look at any time.
            Volatile.Write(ref entry[0], (ulong)start);
            return (long*)(entry + 2);
        }
    }

    public static void Release(long* broken)
    {
        lock (s_lock)
        {
            ulong* entry = (ulong*)broken - 2;
            Check.That(entry >= s_table && entry < s_table + (s_used * EntryBytes / sizeof(ulong)));
            Volatile.Write(ref entry[0], NoAddress);
        }
    }

    private static ulong* FindFree()
    {
        for (int i = 0; i < s_used; i++)
        {
            ulong* entry = s_table + (i * EntryBytes / sizeof(ulong));
            if (entry[0] == NoAddress)
                return entry;
        }

        // One stays without a start.
        return s_used < EntriesMax - 1 ? s_table + (s_used++ * EntryBytes / sizeof(ulong)) : null;
    }

    private static bool TryInstall()
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
            return false;
        byte* before = stackalloc byte[LibC.SignalActionBytes];
        if (LibC.SignalAction(LibC.BusError, null, before) != 0)
            return false;
        nint previous = *(nint*)before;
        int flags = *(int*)(before + LibC.SignalActionFlags);

        // Without one to go on to, an error that is nobody's would come again and again.
        if (previous is LibC.SignalDefault or LibC.SignalIgnored || (flags & LibC.SignalInformation) == 0)
            return false;
        s_table = (ulong*)NativeMemory.AllocZeroed(EntriesMax, EntryBytes);
        void* handler = TryMakeHandler(previous);
        if (handler is null)
            return false;
        byte* action = stackalloc byte[LibC.SignalActionBytes];
        new ReadOnlySpan<byte>(before, LibC.SignalActionBytes).CopyTo(new Span<byte>(action, LibC.SignalActionBytes));
        *(nint*)action = (nint)handler;
        return LibC.SignalAction(LibC.BusError, action, null) == 0;
    }

    /// <summary>Never freed: it may run as long as the process does. Null where no code may be made.</summary>
    private static void* TryMakeHandler(nint previous)
    {
        byte[] code = Code(previous);
        nuint bytes = (nuint)Environment.SystemPageSize;
        Check.That((nuint)code.Length <= bytes);
        nint page = LibC.Map(null, bytes, LibC.ProtectRead | LibC.ProtectWrite, LibC.MapPrivate | LibC.MapAnonymous, -1, 0);
        if (page == -1)
            return null;
        code.CopyTo(new Span<byte>((void*)page, code.Length));
        if (LibC.Protect((void*)page, bytes, LibC.ProtectRead | LibC.ProtectExecute) == 0)
            return (void*)page;
        Check.That(LibC.Unmap((void*)page, bytes) == 0);
        return null;
    }

    // handler(rdi: signal, rsi: siginfo_t*, rdx: ucontext_t*), System V calling convention. Jumps are relative to the next instruction.
    private static byte[] Code(nint previous) =>
    [
        0xF3, 0x0F, 0x1E, 0xFA,                             // 00 endbr64
        0x48, 0x8B, 0x46, 0x10,                             // 04 mov rax, [rsi+16]       si_addr
        0x49, 0xB8, .. Bytes((nint)s_table),                // 08 mov r8, table
        0x4D, 0x8B, 0x08,                                   // 12 mov r9, [r8]            look: a map's start
        0x4D, 0x85, 0xC9,                                   // 15 test r9, r9
        0x74, 0x53,                                         // 18 jz 6D                   the end of the table
        0x4C, 0x39, 0xC8,                                   // 1A cmp rax, r9
        0x72, 0x06,                                         // 1D jb 25
        0x49, 0x3B, 0x40, 0x08,                             // 1F cmp rax, [r8+8]         its end
        0x72, 0x06,                                         // 23 jb 2B
        0x49, 0x83, 0xC0, EntryBytes,                       // 25 add r8, 32
        0xEB, 0xE7,                                         // 29 jmp 12
        0x49, 0xC7, 0x40, 0x10, 0x01, 0x00, 0x00, 0x00,     // 2B mov qword [r8+16], 1    before anybody can read the zeros
        0x57,                                               // 33 push rdi
        0x56,                                               // 34 push rsi
        0x52,                                               // 35 push rdx
        0x48, 0x89, 0xC7,                                   // 36 mov rdi, rax
        0x48, 0x81, 0xE7, 0x00, 0xF0, 0xFF, 0xFF,           // 39 and rdi, -4096
        0xBE, 0x00, 0x10, 0x00, 0x00,                       // 40 mov esi, 4096
        0xBA, 0x01, 0x00, 0x00, 0x00,                       // 45 mov edx, PROT_READ
        0x41, 0xBA, 0x32, 0x00, 0x00, 0x00,                 // 4A mov r10d, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS
        0x49, 0xC7, 0xC0, 0xFF, 0xFF, 0xFF, 0xFF,           // 50 mov r8, -1
        0x45, 0x31, 0xC9,                                   // 57 xor r9d, r9d
        0xB8, 0x09, 0x00, 0x00, 0x00,                       // 5A mov eax, 9              mmap
        0x0F, 0x05,                                         // 5F syscall
        0x5A,                                               // 61 pop rdx
        0x5E,                                               // 62 pop rsi
        0x5F,                                               // 63 pop rdi
        0x48, 0x3D, 0x00, 0xF0, 0xFF, 0xFF,                 // 64 cmp rax, -4096          an error?
        0x77, 0x01,                                         // 6A ja 6D
        0xC3,                                               // 6C ret
        0x48, 0xB8, .. Bytes(previous),                     // 6D mov rax, previous
        0xFF, 0xE0,                                         // 77 jmp rax
    ];

    private static byte[] Bytes(nint address) => BitConverter.GetBytes((long)address);
}
