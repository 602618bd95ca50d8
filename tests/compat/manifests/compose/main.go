// Prints a compose file as Compose itself would read it: variables put in, services whole.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	options, err := cli.NewProjectOptions(
		os.Args[1:], cli.WithOsEnv, cli.WithProfiles([]string{"*"}), cli.WithWorkingDirectory("."),
	)
	if err == nil {
		var text []byte
		if project, failed := options.LoadProject(context.Background()); failed != nil {
			err = failed
		} else if text, err = project.MarshalYAML(); err == nil {
			fmt.Print(string(text))
			return
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
