package toolchain

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"pappus/sdk/assemblyscript"
)

const nodeInstall = "Node.js 18 or newer with npm: apt-get install -y --no-install-recommends nodejs npm"

// assemblyScriptLanguage is AssemblyScript, whose compiler is an npm package of
// the project.
func assemblyScriptLanguage() *Language {
	return &Language{
		Name:    "assemblyscript",
		About:   "AssemblyScript 0.28: TypeScript's syntax, compiled; small and fast",
		Aliases: []string{"as", "asc"},
		Owns:    func(p *Project) bool { return p.Has("main.ts") },
		Tools: []Tool{
			{Name: "node", Programs: []string{"node", "nodejs"}, Install: nodeInstall},
			{Name: "npm", Programs: []string{"npm"}, Install: nodeInstall},
		},
		Plan:     planAssemblyScript,
		Finish:   finishPure,
		Template: []Part{{".", templateOf("assemblyscript")}, {"sdk", assemblyscript.Files}},
	}
}

func planAssemblyScript(b *Build) ([]Stage, error) {
	var stages []Stage
	compiler := filepath.Join("node_modules", "assemblyscript", "bin", "asc.js")
	switch _, err := os.Stat(filepath.Join(b.Dir, compiler)); {
	case errors.Is(err, fs.ErrNotExist):
		stages = append(stages, Stage{{Tool: "npm", Args: []string{"install", "--silent", "--no-audit", "--no-fund", "--no-progress", "--ignore-scripts"}}})
	case err != nil:
		return nil, err
	}
	return append(stages, Stage{{Tool: "node", Args: []string{compiler, "main.ts", "--config", filepath.Join("sdk", "asconfig.json"), "-o", b.Out}}}), nil
}
