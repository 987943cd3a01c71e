using System.Reflection;
using System.Runtime.CompilerServices;
using System.Xml.Linq;
using Kvasir.Storage.Embedded;

namespace Kvasir.Storage.Tests.Embedded;

/// <summary>Whoever embeds a store finds what each member promises in the editor.</summary>
public sealed class DocumentationTests
{
    private const BindingFlags Declared = BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    [Fact]
    public void EveryPublicMemberOfWhatIsEmbeddedIsDocumented()
    {
        Dictionary<string, string> documented = XDocument.Load(Path.ChangeExtension(typeof(KeyValueStore).Assembly.Location, ".xml"))
            .Descendants("member").Select(m => (Name: m.Attribute("name")!.Value, Text: m.ToString())).ToDictionary(m => m.Name, m => m.Text, StringComparer.Ordinal);
        List<string> missing = [];
        foreach (Type type in Reached())
        {
            string name = type.FullName!.Replace('+', '.');
            if (!documented.TryGetValue("T:" + name, out string? about))
                missing.Add(name);
            foreach (IGrouping<string, MemberInfo> overloads in type.GetMembers(Declared).Where(m => IsWritten(m, type)).GroupBy(m => m.Name, StringComparer.Ordinal))
            {
                string id = $"{Kind(overloads.First())}:{name}.{overloads.Key}";
                int found = documented.Keys.Count(k => k.StartsWith(id, StringComparison.Ordinal) && (k.Length == id.Length || k[id.Length] is '(' or '`'));
                bool isPositional = about?.Contains($"<param name=\"{overloads.Key}\">", StringComparison.Ordinal) == true;
                if (found < overloads.Count() && !isPositional)
                    missing.Add($"{name}.{overloads.Key}");
            }
        }

        Assert.True(missing.Count == 0, string.Join('\n', missing.Order(StringComparer.Ordinal)));
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
}
