// style/main.css with everything it imports, as one small file: node scripts/bundle-styles.mjs IN OUT
import { writeFileSync } from "node:fs";
import { bundle } from "lightningcss";

const [input, output] = process.argv.slice(2);
const version = (major, minor = 0) => (major << 16) | (minor << 8);

// The first versions that have nesting, light-dark(), oklch() and popover: what is written is what browsers get.
const targets = { chrome: version(125), edge: version(125), firefox: version(128), safari: version(17, 5), ios_saf: version(17, 5) };

const { code, warnings } = bundle({ filename: input, minify: true, targets });
if (warnings.length > 0) {
  for (const { message, loc } of warnings) console.error(`${loc.filename}:${loc.line}: ${message}`);
  process.exit(1);
}
writeFileSync(output, code);
