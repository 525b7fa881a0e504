// A small repository with a fault, the three tasks on it, and what the model says to each of the agents.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ask } from "./programs.mjs";

/** @typedef {{ title: string, prompt: string, backend: string, model: string, checks: string[], more: string[] }} Work */

/** What only this work needs, and a runner has that may be given it. */
export const word = "agents";

/** As the sample of `muster demo`. */
const files = {
  "README.md": "# Word counter\n\nCounts the words that come in on stdin:\n\n    printf 'one two three' | sh count.sh\n\n`sh test.sh` runs the tests.\n",
  "count.sh": "#!/bin/sh\n# Prints how many words come in on stdin.\ntr -s '[:space:]' '\\n' | grep -c .\n",
  "test.sh": `#!/bin/sh
# Runs every test; each is a script that exits with 0 when it passes.
failed=0
for test in tests/*.sh; do
  if sh "$test"; then echo "passed  $test"; else echo "FAILED  $test"; failed=1; fi
done
exit $failed
`,
  "tests/words.sh": `counted=$(printf 'one two\\n\\nthree ' | sh count.sh)
[ "$counted" = 3 ] || { echo "expected 3 words, got $counted"; exit 1; }
`,
};

/** @param {string} folder */
export function makeRepository(folder) {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  // with nothing of this machine's settings that could sign or hook
  const git = ["git", "-C", folder, "-c", "user.name=Muster demo", "-c", "user.email=demo@muster.invalid", "-c", "commit.gpgSign=false", "-c", "core.hooksPath=/dev/null"];
  ask([...git, "init", "--quiet", "--initial-branch", "main", "--template="]);
  ask([...git, "add", "--all"]);
  ask([...git, "commit", "--quiet", "--message", "A word counter with its tests"]);
  return folder;
}

const claude = { backend: "claude-code", model: "claude-sonnet-4-5" };
const codex = { backend: "codex", model: "gpt-5.2" };
const tests = "test_passes=sh test.sh";

/** @type {Work} */
export const mends = {
  title: "Count an empty text",
  prompt: "An empty text has 0 words, and count.sh has to end well when it says so. Test that.",
  ...claude,
  checks: ["file_exists=tests/empty.sh", "command_succeeds=printf '' | sh count.sh", tests],
  more: [],
};

/** @type {Work} */
export const asks = {
  title: "Add a line counter",
  prompt: "Add lines.sh, which prints how many lines come in on stdin, with its test.",
  ...codex,
  checks: ["file_exists=lines.sh", "command_succeeds=test \"$(printf 'a\\nb\\n' | sh lines.sh)\" = 2", tests],
  more: ["--ask", "commands"],
};

/** @type {Work} */
export const loses = {
  title: "Find the longest line",
  prompt: "Add longest.sh, which prints the longest line that comes in on stdin, with its test.",
  ...claude,
  checks: ["file_exists=longest.sh", "command_succeeds=test \"$(printf 'a\\nbbb\\nbb\\n' | sh longest.sh)\" = bbb", tests],
  more: [],
};

/** A file that is there before the work is interrupted. */
export const madeEarly = "longest.sh";

const says = (/** @type {string} */ text, /** @type {object[]} */ ...acts) => ({ say: [{ text }, ...acts], pace_ms: 10 });
const tool = (/** @type {string} */ name, /** @type {object} */ input) => ({ tool: { name, input } });
const write = (/** @type {string} */ path, /** @type {string} */ content) => ({ write: { path, content } });
const run = (/** @type {string} */ command) => ({ run: command });

/**
 * What the provider of models plays.
 * @param {string} sign a file: while it is not there, the work that is to lose its runner goes no further
 */
export function scenarios(sign) {
  const count = "{{cwd}}/count.sh";
  const edit = (/** @type {string} */ before, /** @type {string} */ after) => tool("Edit", { file_path: count, old_string: before, new_string: after });
  const empty = `counted=$(printf '' | sh count.sh)\n[ "$counted" = 0 ] || { echo "expected 0 words, got '$counted'"; exit 1; }\n`;
  // without what the agent would have to put into quotes of its own, for whoever has to read it
  const lines = `cat > lines.sh <<END
#!/bin/sh
# Prints how many lines come in on stdin.
wc -l | tr -d " "
END
cat > tests/lines.sh <<END
seq 2 | sh lines.sh | grep -qx 2 || { echo "expected 2 lines"; exit 1; }
END`;
  const longest = "#!/bin/sh\n# Prints the longest line that comes in on stdin, the first of several.\nawk 'length > length(longest) { longest = $0 } END { print longest }'\n";
  const longestTest = `found=$(printf 'a\\nbbb\\nbb\\n' | sh longest.sh)\n[ "$found" = bbb ] || { echo "expected bbb, got $found"; exit 1; }\n`;
  const played = [
    {
      work: mends,
      steps: [
        says("I look at how it counts.", tool("Read", { file_path: count })),
        says("First idea: grep fails when it finds nothing, so say 0 in that case.", edit("grep -c .", "grep -c . || echo 0"), write("tests/empty.sh", empty)),
        says("An empty text is counted as 0 now, and tested."),
        says("So grep had said 0 already. Let wc count instead.", edit("tr -s '[:space:]' '\\n' | grep -c . || echo 0", "wc -w | tr -d ' '")),
        says("I run the tests this time.", run("sh test.sh")),
        says("All of them pass."),
      ],
    },
    { work: asks, steps: [says("I write lines.sh and its test.", run(lines)), says("Now the tests.", run("sh test.sh")), says("lines.sh counts lines, and all tests pass.")] },
    {
      work: loses,
      steps: [
        says("I write longest.sh.", write(madeEarly, longest)),
        says("Then its test.", write("tests/longest.sh", longestTest)),
        says("Now the tests.", run(`until [ -e ${sign} ]; do sleep 0.1; done; sh test.sh`)),
        says("longest.sh finds the longest line, and all tests pass."),
      ],
    },
  ];
  return { scenarios: played.map(({ work, steps }, number) => ({ name: `demo-${number}`, when: work.prompt, steps })) };
}
