package service

import (
	"io"
	"strings"
	"testing"
	"time"
)

func TestSettingsComeFromFlagsThenTheEnvironmentThenTheProgram(t *testing.T) {
	t.Parallel()
	program := Program{Name: "p", Defaults: Defaults{LeakEvery: 5}}
	environment := map[string]string{"NOFILE": "200", "FIXED": "true", "UPSTREAM": "http://from-env", "DRAIN": "7s"}
	cfg, err := parseConfig(program, []string{"-upstream", "http://from-flag"}, func(name string) string { return environment[name] }, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Upstream != "http://from-flag" || cfg.Nofile != 200 || !cfg.Fixed || cfg.Drain != 7*time.Second || cfg.LeakEvery != 5 {
		t.Errorf("%+v", cfg)
	}
}

func TestAWrongEnvironmentVariableIsNamed(t *testing.T) {
	t.Parallel()
	environment := map[string]string{"LEAK_EVERY": "often"}
	_, err := parseConfig(Program{Name: "p"}, nil, func(name string) string { return environment[name] }, io.Discard)
	if err == nil || !strings.Contains(err.Error(), `LEAK_EVERY="often"`) {
		t.Errorf("error: %v", err)
	}
}
