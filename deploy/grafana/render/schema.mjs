// Schema: every dashboard against JSON Schemas made of Grafana's own TypeScript types (@grafana/schema).
// `node schema.mjs ../dashboards/*.json` prints what is wrong, a line each, and ends with 1 if anything is.
import Ajv from 'ajv';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const TYPES = 'node_modules/@grafana/schema/dist/types/raw';
const KEPT = 'node_modules/.schemas';

function generated(path, type, name) {
  const file = join(KEPT, `${name}.json`);
  if (!existsSync(path)) return null;
  if (!existsSync(file)) {
    mkdirSync(KEPT, { recursive: true });
    try {
      execFileSync('node_modules/.bin/ts-json-schema-generator', ['--path', path, '--type', type, '--no-type-check', '--out', file], { stdio: 'pipe' });
    } catch (error) {
      if (/No root type/.test(error.stderr)) return null;  // not every panel has field options of its own
      throw error;
    }
  }
  return JSON.parse(readFileSync(file));
}

// Grafana fills defaults on loading, so that nothing is required of a file.
function lenient(node) {
  if (node && typeof node === 'object') {
    if (Array.isArray(node.required)) delete node.required;
    Object.values(node).forEach(lenient);
  }
  return node;
}

const ajv = new Ajv({ allErrors: true, strict: false, validateFormats: false });

function ofDashboard() {
  const schema = lenient(generated(`${TYPES}/dashboard/x/types.gen.d.ts`, 'Dashboard', 'dashboard'));
  const allow = (type, ...names) => names.forEach((name) => { schema.definitions[type].properties[name] = {}; });
  // Fields of the data source and of the front end, which the dashboard's own type leaves open.
  allow('AnnotationQuery', 'expr', 'step', 'titleFormat');
  allow('VariableModel', 'definition');
  schema.definitions.Dashboard.properties.panels.items = { $ref: '#/definitions/Panel' };
  return ajv.compile(schema);
}

const ofPanel = new Map();
function partsOf(kind) {
  if (!ofPanel.has(kind)) {
    const path = `${TYPES}/composable/${kind.replaceAll('-', '')}/panelcfg/x/types.gen.d.ts`;
    const made = ['Options', 'FieldConfig'].map((type) => generated(path, type, `${kind}-${type}`));
    ofPanel.set(kind, made.map((schema) => schema && ajv.compile(lenient(schema))));
  }
  return ofPanel.get(kind);
}

// The data source's own query type is in no package of Grafana's: its fields are checked by hand in the suite.
function* findings(check, value, where) {
  if (!check || value === undefined || check(value)) return;
  for (const error of check.errors) yield `${where}${error.instancePath}: ${error.message} ${JSON.stringify(error.params)}`;
}

const whole = ofDashboard();
let wrong = 0, panels = 0, checked = 0;
for (const file of process.argv.slice(2)) {
  const board = JSON.parse(readFileSync(file)), name = basename(file, '.json');
  const found = [...findings(whole, board, name)];
  for (const panel of board.panels) {
    const [options, field] = partsOf(panel.type), where = `${name} ${panel.title} `;
    panels += 1;
    checked += (options ? 1 : 0) + (field ? 1 : 0);
    found.push(...findings(options, panel.options, `${where}options`));
    found.push(...findings(field, panel.fieldConfig?.defaults?.custom, `${where}custom`));
  }
  found.forEach((line) => console.log(line));
  wrong += found.length;
}
console.log(`${process.argv.length - 2} dashboards, ${panels} panels, ${checked} option types of them checked, ${wrong} findings`);
process.exit(wrong ? 1 : 0);
