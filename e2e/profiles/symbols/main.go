// Command symbols lists calls of libraries, by the names that a profile gives them: all that a table of kinds may refer
// to, and those whose result has a method such as Close or Stop, with these methods.
//
// Input: packages as `go list -deps -json=ImportPath,Dir,GoFiles,ImportMap,Module,Standard` gives them, dependencies
// first. They are type-checked from their sources, without the bodies of functions, which needs no compiler.
//
// Arguments: the import paths of the packages to be listed.
//
// Output: `module@version<TAB>import/path<TAB>Func or (*Type).Method<TAB>kind<TAB>calls that end it`, the last two empty
// where nothing has to be ended. Names are those of the compiler, with [...] for type arguments. A kind is the type of the
// result; `func` where the result is a function that ends it; `^` where another method of the same type takes out what this
// one puts in; `=name` where the call keeps something for each value of its parameter `name`.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

// ending are names of methods that end the thing they belong to, the most usual ones first.
var ending = []string{
	"Close", "CloseNow", "Stop", "StopAndWait", "Shutdown", "ShutDown", "GracefulStop", "Release", "Disconnect",
	"Dispose", "Terminate", "Quit", "Logout", "Unsubscribe", "Unregister", "Rollback", "Discard", "Kill", "Unmount",
	"Unmap", "Destroy", "EndSession", "End", "Finish", "CloseResponse", "CloseAndReceive", "CloseAndRecv",
	"CloseWithError", "Abort", "Deregister", "StopWatch", "Detach", "Leave", "Return",
	"Cleanup", "Cancel", "Drain", "Free",
}

// Alone, these do not mean that a thing has to be ended.
var weak = map[string]bool{"Cleanup": true, "Cancel": true, "Drain": true, "Free": true}

type listed struct {
	ImportPath, Dir string
	GoFiles         []string
	ImportMap       map[string]string
	Standard        bool
	Module          *struct{ Path, Version string }
}

type importer struct {
	known map[string]*types.Package
	paths map[string]string
}

func (i importer) Import(path string) (*types.Package, error) {
	if other, ok := i.paths[path]; ok {
		path = other
	}
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	if pkg, ok := i.known[path]; ok {
		return pkg, nil
	}
	return nil, fmt.Errorf("%s is not known", path)
}

func main() {
	wanted := map[string]bool{}
	for _, path := range os.Args[1:] {
		wanted[path] = true
	}
	files, known := token.NewFileSet(), map[string]*types.Package{}
	docs := map[string]string{}
	in := json.NewDecoder(bufio.NewReaderSize(os.Stdin, 1<<20))
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for {
		var one listed
		if err := in.Decode(&one); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		clear(docs)
		pkg := check(files, known, one, docs)
		known[one.ImportPath] = pkg
		if !wanted[one.ImportPath] {
			continue
		}
		module := "std"
		if one.Module != nil {
			module = one.Module.Path + "@" + one.Module.Version
		}
		for _, line := range calls(pkg, docs) {
			fmt.Fprintf(out, "%s\t%s\t%s\n", module, one.ImportPath, line)
		}
	}
}

// check type-checks one package, and puts the comments of its functions into docs.
func check(files *token.FileSet, known map[string]*types.Package, one listed, docs map[string]string) *types.Package {
	var parsed []*ast.File
	for _, name := range one.GoFiles {
		file, err := parser.ParseFile(files, filepath.Join(one.Dir, name), nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			continue
		}
		for _, decl := range file.Decls {
			if function, ok := decl.(*ast.FuncDecl); ok {
				function.Body = nil
				if function.Doc != nil && function.Recv == nil {
					docs[function.Name.Name] = function.Doc.Text()
				} else if function.Doc != nil {
					docs[receiver(function.Recv)+"."+function.Name.Name] = function.Doc.Text()
				}
			}
		}
		parsed = append(parsed, file)
	}
	conf := types.Config{
		Importer: importer{known, one.ImportMap}, IgnoreFuncBodies: true, FakeImportC: true,
		Error: func(error) {}, // what cannot be resolved gives no line
	}
	pkg, _ := conf.Check(one.ImportPath, files, parsed, nil)
	return pkg
}

func receiver(fields *ast.FieldList) string {
	kind := fields.List[0].Type
	for {
		switch one := kind.(type) {
		case *ast.StarExpr:
			kind = one.X
		case *ast.IndexExpr:
			kind = one.X
		case *ast.IndexListExpr:
			kind = one.X
		case *ast.Ident:
			return one.Name
		default:
			return ""
		}
	}
}

func calls(pkg *types.Package, docs map[string]string) []string {
	var found []string
	add := func(name, bare string, sig *types.Signature, has func(string) bool) {
		kind, ends := ended(sig)
		if kind == "" && stops(sig, docs[bare]) {
			kind, ends = "func", []string{"call"}
		}
		if kind == "" {
			if ends = opposites(bare, has); len(ends) > 0 {
				kind = "^"
			}
		}
		if kind == "" {
			if kind = keyed(pkg.Path(), bare, sig); kind != "" {
				ends = []string{"bound"}
			}
		}
		found = append(found, name+"\t"+kind+"\t"+strings.Join(ends, ","))
	}
	scope := pkg.Scope()
	for _, name := range scope.Names() {
		switch object := scope.Lookup(name).(type) {
		case *types.Func:
			bare := name
			if object.Signature().TypeParams().Len() > 0 {
				name += "[...]"
			}
			add(name, bare, object.Signature(), func(other string) bool {
				_, ok := scope.Lookup(other).(*types.Func)
				return ok
			})
		case *types.TypeName:
			named, ok := object.Type().(*types.Named)
			if !ok || object.IsAlias() || types.IsInterface(named) {
				continue // a profile shows the type behind an interface
			}
			methods := types.NewMethodSet(types.NewPointer(named))
			for method := range named.Methods() {
				kind := name
				if named.TypeParams().Len() > 0 {
					kind += "[...]"
				}
				if _, pointer := method.Signature().Recv().Type().(*types.Pointer); pointer {
					kind = "(*" + kind + ")"
				}
				add(kind+"."+method.Name(), name+"."+method.Name(), method.Signature(), func(other string) bool {
					return methods.Lookup(nil, other) != nil
				})
			}
		}
	}
	sort.Strings(found)
	return found
}

var endingWords = regexp.MustCompile(`(?i)\b(stop|stops|cancel|close|closes|closer|unsubscribe|unregister|release|shutdown|shut down|clean ?up|remove|undo|restore)\w*`)

// stops says whether the last result, but for an error, is a function that ends what the call began, by its name or by the
// call's documentation.
func stops(sig *types.Signature, doc string) bool {
	for result := range sig.Results().Variables() {
		function, ok := result.Type().Underlying().(*types.Signature)
		if !ok || function.Params().Len() > 1 || function.Results().Len() > 1 {
			continue
		}
		if function.Params().Len() == 1 && function.Params().At(0).Type().String() != "context.Context" {
			continue
		}
		if function.Results().Len() == 1 && function.Results().At(0).Type().String() != "error" {
			continue
		}
		if result.Type().String() == "context.CancelFunc" || endingWords.MatchString(result.Name()) || endingWords.MatchString(doc) {
			return true
		}
	}
	return false
}

// opposite names what takes out what a call with such a name puts in, the most usual one first.
var opposite = map[string][]string{
	"Add": {"Remove", "Delete", "Del"}, "Insert": {"Remove", "Delete"}, "Subscribe": {"Unsubscribe", "Unsub"}, "Sub": {"Unsub"},
	"Register": {"Unregister", "Deregister", "UnRegister"}, "Attach": {"Detach"}, "Acquire": {"Release"},
	"Borrow": {"Return", "GiveBack"}, "Watch": {"Unwatch", "StopWatch"}, "Join": {"Leave"}, "Mount": {"Unmount"},
	"Connect": {"Disconnect"}, "Create": {"Remove", "Destroy"}, "New": {"Remove", "Destroy", "Release"}, "On": {"Off"},
	"Notify": {"StopNotify"}, "Track": {"Untrack"}, "Bind": {"Unbind"}, "Hook": {"Unhook"}, "Retain": {"Release"},
	"Reserve": {"Release", "Unreserve"}, "Pin": {"Unpin"}, "Schedule": {"Unschedule"}, "Start": {"Stop", "Finish", "End"},
	"Enter": {"Exit", "Leave"}, "Grant": {"Revoke"}, "Follow": {"Unfollow"}, "Listen": {"Unlisten"}, "Alloc": {"Free"},
	"Put": {"Delete", "Remove"}, "Store": {"Delete", "Remove"}, "Set": {"Delete", "Clear", "Remove", "Del"},
	"Push": {"Pop"}, "Load": {"Unload"}, "Begin": {"End"}, "Enqueue": {"Dequeue"},
}

func opposites(bare string, has func(string) bool) []string {
	kind, name := "", bare
	if at := strings.LastIndex(bare, "."); at >= 0 {
		kind, name = bare[:at], bare[at+1:]
	}
	var found []string
	for n := len(name); n > 0; n-- {
		verb, rest := name[:n], name[n:]
		if rest != "" && (rest[0] < 'A' || rest[0] > 'Z') {
			continue
		}
		others := opposite[verb]
		if verb == "Get" && strings.Contains(kind, "Pool") {
			others = []string{"Put", "Return", "Release"}
		}
		for _, other := range others {
			for _, candidate := range []string{other + rest, other} {
				if has(candidate) && len(found) < 2 && (len(found) == 0 || found[0] != candidate) {
					found = append(found, candidate)
				}
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

var (
	ofNames  = regexp.MustCompile(`(?i)metric|statsd|circuit|breaker|hystrix|telemetry|trace|expvar|tally`)
	byName   = regexp.MustCompile(`^(Get|New|Register|With|Configure|Do|Go|Counter|Gauge|Timer|Histogram|Meter|Scope|Tagged|SubScope|Named)`)
	namesIts = map[string]bool{"name": true, "key": true, "command": true, "commandName": true, "label": true, "tag": true, "prefix": true}
)

// keyed gives `=name` for calls of metrics, breakers and the like that keep something for each name they are given.
func keyed(path, bare string, sig *types.Signature) string {
	name := bare[strings.LastIndex(bare, ".")+1:]
	if !ofNames.MatchString(path) || !byName.MatchString(name) {
		return ""
	}
	for parameter := range sig.Params().Variables() {
		if parameter.Type().String() == "string" && namesIts[parameter.Name()] {
			return "=" + parameter.Name()
		}
	}
	return ""
}

// ended gives the first result that has to be ended, and the methods that do so.
func ended(sig *types.Signature) (string, []string) {
	for result := range sig.Results().Variables() {
		kind := result.Type()
		if recv := sig.Recv(); recv != nil && types.Identical(recv.Type(), kind) {
			return "", nil // a builder gives itself
		}
		base := kind
		if pointer, ok := base.(*types.Pointer); ok {
			base = pointer.Elem()
		}
		named, ok := types.Unalias(base).(*types.Named)
		if !ok || named.Obj().Pkg() == nil || named.Obj().Pkg().Path() == "context" {
			continue
		}
		whole := kind
		if _, pointer := kind.(*types.Pointer); !pointer && !types.IsInterface(kind) {
			whole = types.NewPointer(kind)
		}
		set := types.NewMethodSet(whole)
		var ends []string
		strong := false
		for _, name := range ending {
			if method := set.Lookup(nil, name); method != nil {
				ends = append(ends, name)
				strong = strong || !weak[name]
			}
		}
		if strong {
			text := types.TypeString(kind, func(other *types.Package) string { return other.Name() })
			if at := strings.Index(text, "["); at > 0 {
				text = text[:at] // type parameters say nothing here
			}
			return text, ends[:min(len(ends), 3)]
		}
	}
	return "", nil
}
