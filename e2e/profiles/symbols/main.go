// Command symbols lists calls of libraries, by the names that a profile gives them: all that a table of kinds may refer
// to, and those whose result has a method such as Close or Stop, with these methods.
//
// Input: packages as `go list -deps -json=ImportPath,Dir,GoFiles,ImportMap,Module,Standard` gives them, dependencies
// first. They are type-checked from their sources, without the bodies of functions, which needs no compiler.
//
// Arguments: the import paths of the packages to be listed.
//
// Output: `module@version<TAB>import/path<TAB>Func or (*Type).Method<TAB>type of the result<TAB>its ending methods`, the
// last two empty where nothing has to be ended. Names are those of the compiler, with [...] for type arguments.
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
	"sort"
	"strings"
)

// ending are names of methods that end the thing they belong to, the most usual ones first.
var ending = []string{
	"Close", "CloseNow", "Stop", "StopAndWait", "Shutdown", "ShutDown", "GracefulStop", "Release", "Unsubscribe",
	"Unregister", "Disconnect", "Dispose", "Terminate", "Quit", "Rollback", "Discard", "Logout", "Kill", "Unmount",
	"Unmap", "Destroy", "EndSession", "End", "Finish", "CloseResponse", "CloseAndReceive", "CloseAndRecv",
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
		pkg := check(files, known, one)
		known[one.ImportPath] = pkg
		if !wanted[one.ImportPath] {
			continue
		}
		module := "std"
		if one.Module != nil {
			module = one.Module.Path + "@" + one.Module.Version
		}
		for _, line := range calls(pkg) {
			fmt.Fprintf(out, "%s\t%s\t%s\n", module, one.ImportPath, line)
		}
	}
}

func check(files *token.FileSet, known map[string]*types.Package, one listed) *types.Package {
	var parsed []*ast.File
	for _, name := range one.GoFiles {
		file, err := parser.ParseFile(files, filepath.Join(one.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			continue
		}
		for _, decl := range file.Decls {
			if function, ok := decl.(*ast.FuncDecl); ok {
				function.Body = nil
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

func calls(pkg *types.Package) []string {
	var found []string
	add := func(name string, sig *types.Signature) {
		result, ends := ended(sig)
		found = append(found, name+"\t"+result+"\t"+strings.Join(ends, ","))
	}
	for _, name := range pkg.Scope().Names() {
		switch object := pkg.Scope().Lookup(name).(type) {
		case *types.Func:
			if object.Signature().TypeParams().Len() > 0 {
				name += "[...]"
			}
			add(name, object.Signature())
		case *types.TypeName:
			named, ok := object.Type().(*types.Named)
			if !ok || object.IsAlias() || types.IsInterface(named) {
				continue // a profile shows the type behind an interface
			}
			for method := range named.Methods() {
				kind := name
				if named.TypeParams().Len() > 0 {
					kind += "[...]"
				}
				if _, pointer := method.Signature().Recv().Type().(*types.Pointer); pointer {
					kind = "(*" + kind + ")"
				}
				add(kind+"."+method.Name(), method.Signature())
			}
		}
	}
	sort.Strings(found)
	return found
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
