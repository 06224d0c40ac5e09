package proc

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"liverelay/test/wait"
)

// CheckOpenAPI has a description of an API checked against the schema of its OpenAPI version. It
// skips the rest of the test where Python has no openapi-spec-validator: Debian has none.
func CheckOpenAPI(t testing.TB, name string, document []byte) {
	t.Helper()
	const module = "openapi_spec_validator"
	if err := exec.CommandContext(wait.Context(t), "python3", "-c", "import "+module).Run(); err != nil {
		t.Skip("no " + module + ": pip install openapi-spec-validator")
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, document, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(wait.Context(t), "python3", "-m", module, file).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%.2000s", name, err, out)
	}
}
