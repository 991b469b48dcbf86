// evaluator runs a health script as Argo CD runs it, and health expressions as Flux runs them, over objects.
//
// Standard input is {"lua": "...", "current": "...", "failed": "...", "inProgress": "...", "objects": [...]}; standard output
// has one {"argo": "...", "flux": "..."} for each object. The libraries that are open, the way numbers become Lua's, the
// options of CEL and the order of the expressions are those of argo-cd's util/lua/lua.go and fluxcd/pkg's runtime/cel.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
	lua "github.com/yuin/gopher-lua"
)

type input struct {
	Lua        string           `json:"lua"`
	Current    string           `json:"current"`
	Failed     string           `json:"failed"`
	InProgress string           `json:"inProgress"`
	Objects    []map[string]any `json:"objects"`
}

type result struct {
	Argo string `json:"argo"`
	Flux string `json:"flux"`
}

func main() {
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		fmt.Fprintln(os.Stderr, "input:", err)
		os.Exit(2)
	}
	results := []result{}
	for _, object := range in.Objects {
		results = append(results, result{Argo: argo(in.Lua, object), Flux: flux(in, object)})
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		fmt.Fprintln(os.Stderr, "output:", err)
		os.Exit(2)
	}
}

func argo(script string, object map[string]any) string {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.BaseLibName: lua.OpenBase,
		lua.TabLibName:  lua.OpenTable,
	} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			return "error: " + err.Error()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", value(state, object))
	if err := state.DoString(script); err != nil {
		return "error: " + err.Error()
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return "error: no table"
	}
	switch status := table.RawGetString("status").String(); status {
	case "Unknown", "Progressing", "Suspended", "Healthy", "Degraded", "Missing":
		return status
	default:
		return "error: status " + status
	}
}

func value(state *lua.LState, from any) lua.LValue {
	switch known := from.(type) {
	case bool:
		return lua.LBool(known)
	case float64:
		return lua.LNumber(known)
	case string:
		return lua.LString(known)
	case []any:
		list := state.CreateTable(len(known), 0)
		for _, each := range known {
			list.Append(value(state, each))
		}
		return list
	case map[string]any:
		table := state.CreateTable(0, len(known))
		for key, each := range known {
			table.RawSetString(key, value(state, each))
		}
		return table
	}
	return lua.LNil
}

func flux(in input, object map[string]any) string {
	for _, each := range []struct{ expression, status string }{
		{in.InProgress, "InProgress"}, {in.Failed, "Failed"}, {in.Current, "Current"},
	} {
		if each.expression == "" {
			continue
		}
		holds, err := evaluate(each.expression, object)
		if err != nil {
			return "error: " + err.Error()
		}
		if holds {
			return each.status
		}
	}
	return "InProgress"
}

func evaluate(expression string, object map[string]any) (bool, error) {
	env, err := cel.NewEnv(
		cel.HomogeneousAggregateLiterals(), cel.EagerlyValidateDeclarations(true), cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true), cel.OptionalTypes(), ext.Strings(), ext.Sets(), ext.Encoders(),
	)
	if err != nil {
		return false, err
	}
	parsed, issues := env.Parse(expression)
	if issues != nil && issues.Err() != nil {
		return false, issues.Err()
	}
	program, err := env.Program(parsed, cel.EvalOptions(cel.OptOptimize), cel.InterruptCheckFrequency(100))
	if err != nil {
		return false, err
	}
	out, _, err := program.ContextEval(context.Background(), object)
	if err != nil {
		return false, err
	}
	holds, ok := out.(types.Bool)
	if !ok {
		return false, fmt.Errorf("%q is not a boolean", expression)
	}
	return bool(holds), nil
}
