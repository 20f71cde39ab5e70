// Reads a Modelfile by the grammar that Ollama documents and renders its TEMPLATE as Ollama does.
//
//	go run render_modelfile.go MODELFILE < CONVERSATIONS    ({"messages": [{"role", "content"}]} a line)
//
// Writes a JSON line a conversation: {"text"}. Exit code 1 where the Modelfile breaks the grammar, names
// a file that is not there, or where an instruction, a parameter or its value is none of Ollama's. Needs
// Go's standard library alone. Read: Ollama's docs/modelfile and template/template.go of August 2026.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
)

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "render_modelfile: "+format+"\n", arguments...)
	os.Exit(1)
}

// An instruction and what follows it, without the quotation marks.
type instruction struct {
	name, value string
}

// Takes a value off the front of text: up to three quotation marks, one, or the end of the line. As in
// Ollama there are no escapes.
func cutValue(text string) (string, string) {
	for _, mark := range []string{`"""`, `"`} {
		if rest, found := strings.CutPrefix(text, mark); found {
			value, after, closed := strings.Cut(rest, mark)
			line, after, _ := strings.Cut(after, "\n")
			if !closed || strings.TrimSpace(line) != "" {
				fail("a value in %s does not end with them: %.60q", mark, text)
			}
			return value, after
		}
	}
	value, after, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(value), after
}

func parseModelfile(text string) []instruction {
	var found []instruction
	for text = strings.TrimLeft(text, " \t\r\n"); text != ""; text = strings.TrimLeft(text, " \t\r\n") {
		if text[0] == '#' {
			_, text, _ = strings.Cut(text, "\n")
			continue
		}
		end := strings.IndexAny(text, " \t\r\n")
		if end < 0 || text[end] == '\n' {
			fail("an instruction without a value: %.60q", text)
		}
		name := strings.ToUpper(text[:end])
		value, rest := cutValue(strings.TrimLeft(text[end:], " \t"))
		found, text = append(found, instruction{name, value}), rest
	}
	return found
}

func checkParameter(value string) {
	name, argument, _ := strings.Cut(value, " ")
	switch name {
	case "stop":
		if quoted, _ := cutValue(strings.TrimSpace(argument)); quoted == "" || strings.Contains(quoted, `\`) {
			fail("PARAMETER %s: an empty stop word, or one with an escape, which Ollama does not know", value)
		}
	case "num_ctx":
		if _, err := strconv.Atoi(argument); err != nil {
			fail("PARAMETER %s: no whole number", value)
		}
	default:
		fail("PARAMETER %s: not one that tinysft-vk is known to write", value)
	}
}

// Checks every instruction, and returns the template.
func check(instructions []instruction, folder string) string {
	count := map[string]int{}
	text := ""
	for _, in := range instructions {
		count[in.name]++
		switch in.name {
		case "FROM", "ADAPTER":
			if _, err := os.Stat(filepath.Join(folder, in.value)); err != nil {
				fail("%s: %v", in.name, err)
			}
		case "TEMPLATE":
			text = in.value
		case "PARAMETER":
			checkParameter(in.value)
		case "SYSTEM":
		default:
			fail("no instruction of Ollama's: %s", in.name)
		}
	}
	if count["FROM"] != 1 || count["TEMPLATE"] != 1 || count["ADAPTER"] > 1 || count["SYSTEM"] > 1 {
		fail("so many instructions of each: %v", count)
	}
	return text
}

// Whether a part of the template reads .Messages: if none does, Ollama renders turn by turn instead.
func readsMessages(node parse.Node) bool {
	return strings.Contains(node.String(), "Messages")
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// What a template is given: a system prompt is among the messages too, and neighbours of one role are one.
func values(messages []message) map[string]any {
	var system []string
	var collated []message
	for _, m := range messages {
		if m.Role == "system" {
			system = append(system, m.Content)
		}
		if last := len(collated) - 1; last >= 0 && collated[last].Role == m.Role {
			collated[last].Content += "\n\n" + m.Content
		} else {
			collated = append(collated, m)
		}
	}
	return map[string]any{"System": strings.Join(system, "\n\n"), "Messages": collated, "Response": ""}
}

func main() {
	if len(os.Args) != 2 {
		fail("go run render_modelfile.go MODELFILE < CONVERSATIONS")
	}
	bytes, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail("%v", err)
	}
	text := check(parseModelfile(string(bytes)), filepath.Dir(os.Args[1]))
	parsed, err := template.New("").Option("missingkey=zero").Parse(text)
	if err != nil {
		fail("TEMPLATE: %v", err)
	}
	if !slices.ContainsFunc(parsed.Tree.Root.Nodes, readsMessages) {
		fail("TEMPLATE does not read .Messages")
	}
	lines, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for lines.Scan() {
		var row struct {
			Messages []message `json:"messages"`
		}
		var rendered strings.Builder
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			fail("%v", err)
		}
		if err := parsed.Execute(&rendered, values(row.Messages)); err != nil {
			fail("TEMPLATE: %v", err)
		}
		out.Encode(map[string]string{"text": rendered.String()})
	}
}
