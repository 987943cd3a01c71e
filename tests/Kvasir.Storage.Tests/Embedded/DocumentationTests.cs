using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using Kvasir.Storage.Embedded;

namespace Kvasir.Storage.Tests.Embedded;

/// <summary>Whoever embeds a store finds what each member promises in the editor.</summary>
public sealed partial class DocumentationTests
{
    private const BindingFlags Declared = BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    // What changes something, or makes a copy, says when that is durable.
    private static readonly HashSet<string> s_writing = new(StringComparer.Ordinal)
    {
        "Put", "Delete", "DeleteRange", "Write", "Clear", "Flush", "Checkpoint", "Compact", "CompactRange", "SetTimeToLive", "GetOrCreateBucket",
        "DeleteBucket", "UserData", "Commit", "Update", "Batch", "BatchAsync", "DeleteExpired", "Shrink", "CopyTo",
    };

    [Fact]
    public void EveryPublicMemberOfWhatIsEmbeddedIsDocumented()
    {
        Dictionary<string, string> documented = Documented();
        List<string> missing = [];
        foreach (Type type in Reached())
        {
            string name = NameOf(type);
            if (!documented.TryGetValue("T:" + name, out string? about))
                missing.Add(name);
            foreach (IGrouping<string, MemberInfo> overloads in MembersOf(type))
            {
                int found = DocumentsOf(overloads, name, documented).Count();
                bool isPositional = about?.Contains($"<param name=\"{overloads.Key}\">", StringComparison.Ordinal) == true;
                if (found < overloads.Count() && !isPositional)
                    missing.Add($"{name}.{overloads.Key}");
            }
        }

        Assert.True(missing.Count == 0, string.Join('\n', missing.Order(StringComparer.Ordinal)));
    }

    [Fact]
    public void EveryPublicMemberOfWhatIsEmbeddedSaysWhichThreadsMayUseItAndWhatIsDurable()
    {
        Dictionary<string, string> documented = Documented();
        List<string> silent = [];
        foreach (Type type in Reached().Where(t => !t.IsEnum && !typeof(Delegate).IsAssignableFrom(t) && !typeof(Exception).IsAssignableFrom(t)))
        {
            string name = NameOf(type);

            // A record does not change and says so once; a value is its holder's, unless it has something to give back.
            if (type.GetMethod("<Clone>$") is not null)
            {
                if (!SaysThreads(documented["T:" + name]))
                    silent.Add($"{name}: threads");
                continue;
            }

            if (type.IsValueType && type.GetMethod("Dispose") is null)
                continue;
            foreach (IGrouping<string, MemberInfo> overloads in MembersOf(type).Where(g => g.First() is not FieldInfo))
            {
                foreach ((string id, string document) in DocumentsOf(overloads, name, documented))
                {
                    string says = document;
                    while (Inherited().Match(says) is { Success: true } from)
                        says = documented[from.Groups[1].Value];
                    if (says.Contains("Does not compile", StringComparison.Ordinal))
                        continue;
                    if (!SaysThreads(says))
                        silent.Add($"{id}: threads");
                    if (s_writing.Contains(overloads.Key) && !says.Contains("durab", StringComparison.Ordinal))
                        silent.Add($"{id}: durability");
                }
            }
        }

        Assert.True(silent.Count == 0, string.Join('\n', silent.Order(StringComparer.Ordinal)));
    }

    private static bool SaysThreads(string document) => document.Contains("thread", StringComparison.Ordinal);

    private static Dictionary<string, string> Documented() => XDocument.Load(Path.ChangeExtension(typeof(KeyValueStore).Assembly.Location, ".xml"))
        .Descendants("member").Select(m => (Name: m.Attribute("name")!.Value, Text: m.ToString())).ToDictionary(m => m.Name, m => m.Text, StringComparer.Ordinal);

    private static string NameOf(Type type) => type.FullName!.Replace('+', '.');

    private static IEnumerable<IGrouping<string, MemberInfo>> MembersOf(Type type) =>
        type.GetMembers(Declared).Where(m => IsWritten(m, type)).GroupBy(m => m.Name, StringComparer.Ordinal);

    /// <summary>Of all overloads, with the compiler's name of each.</summary>
    private static IEnumerable<KeyValuePair<string, string>> DocumentsOf(IGrouping<string, MemberInfo> overloads, string typeName, Dictionary<string, string> documented)
    {
        string id = $"{Kind(overloads.First())}:{typeName}.{overloads.Key}";
        return documented.Where(d => d.Key.StartsWith(id, StringComparison.Ordinal) && (d.Key.Length == id.Length || d.Key[id.Length] is '(' or '`'));
    }

    /// <summary>The public types of the namespace, and all of this package that their members name.</summary>
    private static HashSet<Type> Reached()
    {
        Assembly assembly = typeof(KeyValueStore).Assembly;
        HashSet<Type> reached = [];
        var next = new Stack<Type>(assembly.GetExportedTypes().Where(t => t.Namespace == typeof(KeyValueStore).Namespace));
        while (next.TryPop(out Type? type))
        {
            while (type.HasElementType)
                type = type.GetElementType()!;
            foreach (Type argument in type.GetGenericArguments())
                next.Push(argument);
            if (type.IsGenericParameter || type.Assembly != assembly || !reached.Add(type.IsGenericType ? type.GetGenericTypeDefinition() : type))
                continue;
            if (type.BaseType is { } above)
                next.Push(above);
            foreach (MemberInfo member in type.GetMembers(Declared))
            {
                if (member is PropertyInfo property)
                    next.Push(property.PropertyType);
                if (member is not MethodInfo method)
                    continue;
                next.Push(method.ReturnType);
                foreach (ParameterInfo parameter in method.GetParameters())
                    next.Push(parameter.ParameterType);
            }
        }

        return reached;
    }

    private static bool IsWritten(MemberInfo member, Type type) => member switch
    {
        _ when member.IsDefined(typeof(CompilerGeneratedAttribute)) || member.Name.Contains('<', StringComparison.Ordinal) => false,
        _ when typeof(Delegate).IsAssignableFrom(type) => false,
        MethodInfo method => !method.IsSpecialName && method.Name is not ("Equals" or "GetHashCode" or "ToString" or "Deconstruct"),
        FieldInfo field => !field.IsSpecialName,
        PropertyInfo => true,
        _ => false,
    };

    private static char Kind(MemberInfo member) => member switch
    {
        MethodInfo => 'M',
        PropertyInfo => 'P',
        _ => 'F',
    };

    [GeneratedRegex("<inheritdoc cref=\"([^\"]+)\"")]
    private static partial Regex Inherited();
}
