// Command symbols lists, for compiled packages, the calls that give something which has to be ended: functions and
// methods whose result has a method such as Close or Stop.
//
// Input: one package a line, `import/path<TAB>file with export data` (go list -export). The packages to be listed are
// given as arguments; the others are only their dependencies.
//
// Output: `import/path<TAB>Func or Type.Method<TAB>type of the result<TAB>its ending methods`.
package main

import (
	"bufio"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"sort"
	"strings"
)

// ending are names of methods that end the thing they belong to, the most usual ones first.
var ending = []string{
	"Close", "CloseNow", "Stop", "StopAndWait", "Shutdown", "ShutDown", "GracefulStop", "Release", "Unsubscribe",
	"Unregister", "Cancel", "Disconnect", "Dispose", "Terminate", "Quit", "Rollback", "Logout", "Kill", "Cleanup",
	"Unmount", "Unmap", "Destroy", "Drain", "EndSession", "Flush", "Done", "Free", "Wait",
}

// Alone, these do not mean that a thing has to be ended.
var weak = map[string]bool{"Flush": true, "Done": true, "Wait": true, "Drain": true, "Cancel": true, "Free": true, "Cleanup": true, "Rollback": false}

func main() {
	exports := map[string]string{}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<20)
	for in.Scan() {
		if path, file, ok := strings.Cut(in.Text(), "\t"); ok && file != "" {
			exports[path] = file
		}
	}
	imp := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		file, ok := exports[path]
		if !ok {
			return nil, fmt.Errorf("%s was not compiled", path)
		}
		return os.Open(file)
	})
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for _, path := range os.Args[1:] {
		pkg, err := imp.Import(path)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			continue
		}
		for _, line := range calls(pkg) {
			fmt.Fprintf(out, "%s\t%s\n", path, line)
		}
	}
}

func calls(pkg *types.Package) []string {
	var found []string
	add := func(name string, sig *types.Signature) {
		if result, ends := ended(sig, pkg); len(ends) > 0 {
			found = append(found, name+"\t"+result+"\t"+strings.Join(ends, ","))
		}
	}
	for _, name := range pkg.Scope().Names() {
		switch object := pkg.Scope().Lookup(name).(type) {
		case *types.Func:
			if object.Exported() {
				add(name, object.Signature())
			}
		case *types.TypeName:
			named, ok := object.Type().(*types.Named)
			if !ok || object.IsAlias() {
				continue
			}
			for method := range named.Methods() {
				// Of unexported types too: a profile shows the type behind an interface.
				if method.Exported() {
					add(name+"."+method.Name(), method.Signature())
				}
			}
		}
	}
	sort.Strings(found)
	return found
}

// ended gives the first result that has to be ended, and the methods that do so.
func ended(sig *types.Signature, pkg *types.Package) (string, []string) {
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
		set := types.NewMethodSet(kind)
		if _, pointer := kind.(*types.Pointer); !pointer && !types.IsInterface(kind) {
			set = types.NewMethodSet(types.NewPointer(kind))
		}
		var ends []string
		strong := false
		for _, name := range ending {
			if method := set.Lookup(nil, name); method != nil && method.Obj().Exported() {
				ends = append(ends, name)
				strong = strong || !weak[name]
			}
		}
		if strong {
			qualified := types.TypeString(kind, func(other *types.Package) string { return other.Name() })
			return qualified, ends[:min(len(ends), 3)]
		}
	}
	return "", nil
}
