// Prometheus: a panel's targets become data frames, as Grafana's own data source makes them.
import { DataFrame, Field, FieldType } from '@grafana/data';

export interface Place { url: string; from: number; to: number; scrape: number; variables: Record<string, string> }
interface Target { expr: string; refId: string; legendFormat: string; instant: boolean; format: string; exemplar: boolean }
interface Series { metric: Record<string, string>; values: Array<[number, string]> }

export function fill(text: string, variables: Record<string, string>): string {
  return text.replace(/\$\{(\w+)(?::\w+)?\}|\$(\w+)/g, (whole, a, b) => variables[a ?? b] ?? whole);
}

export function step(place: Place): number {
  return Math.max(place.scrape, Math.round((place.to - place.from) / 1000 / 300));
}

function filled(expr: string, place: Place): string {
  const rate = `${Math.max(4 * place.scrape, step(place) + place.scrape)}s`;
  return fill(expr.replace(/\$__(rate_interval|interval)/g, rate), place.variables);
}

async function get(place: Place, path: string, query: Record<string, string | number>): Promise<any> {
  const asked = Object.entries(query).map(([k, v]) => `${k}=${encodeURIComponent(v)}`).join('&');
  const answer = await (await fetch(`${place.url}/api/v1/${path}?${asked}`)).json();
  if (answer.status !== 'success') throw new Error(answer.error);
  return answer.data;
}

export async function range(expr: string, place: Place): Promise<Series[]> {
  const s = step(place);
  const begin = Math.ceil(place.from / 1000 / s) * s;
  return (await get(place, 'query_range', { query: filled(expr, place), start: begin, end: place.to / 1000, step: s })).result;
}

async function now(expr: string, place: Place): Promise<Series[]> {
  const result = (await get(place, 'query', { query: filled(expr, place), time: place.to / 1000 })).result;
  return result.map((one: any) => ({ metric: one.metric, values: [one.value] }));
}

export interface Exemplar { at: number; value: number }
/** The exemplars of a target, thinned out as the data source does: of a step, those two deviations apart. */
export async function exemplars(target: Target, place: Place): Promise<Exemplar[]> {
  if (!target.exemplar) return [];
  const data = await get(place, 'query_exemplars', { query: filled(target.expr, place), start: place.from / 1000, end: place.to / 1000 });
  const all: Exemplar[] = data.flatMap((one: any) => one.exemplars.map((e: any) => ({ at: e.timestamp * 1000, value: +e.value })));
  const mean = all.reduce((sum, e) => sum + e.value, 0) / all.length;
  const spread = Math.sqrt(all.reduce((sum, e) => sum + (e.value - mean) ** 2, 0) / all.length);
  const slots = new Map<number, Exemplar[]>();
  for (const e of all.sort((a, b) => b.value - a.value)) {
    const slot = Math.floor(e.at / 5000 / step(place));
    const kept = slots.get(slot) ?? [];
    if (!kept.length || kept.at(-1)!.value - e.value > 2 * spread) slots.set(slot, [...kept, e]);
  }
  return [...slots.values()].flat();
}

const number = (text: string) => (text === 'NaN' ? NaN : +text.replace('Inf', 'Infinity'));

function legend(target: Target, metric: Record<string, string>): string {
  const named = (target.legendFormat || '').replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => metric[label] ?? '');
  return named || JSON.stringify(metric);
}

// Where a scrape is missing there is a hole, and it must be drawn as one.
function spaced(series: Series, place: Place): [number[], Array<number | null>] {
  const s = step(place);
  const byTime = new Map(series.values.map(([t, v]) => [t, number(v)]));
  const first = series.values[0][0], last = series.values.at(-1)![0];
  const times = Array.from({ length: Math.round((last - first) / s) + 1 }, (_, i) => first + i * s);
  return [times.map((t) => t * 1000), times.map((t) => byTime.get(t) ?? null)];
}

function lines(target: Target, found: Series[], place: Place): DataFrame[] {
  return found.map((series) => {
    const [times, values] = target.instant
      ? [series.values.map(([t]) => t * 1000), series.values.map(([, v]) => number(v))]
      : spaced(series, place);
    return {
      refId: target.refId, name: legend(target, series.metric), length: times.length,
      fields: [
        { name: 'Time', type: FieldType.time, config: {}, values: times },
        { name: 'Value', type: FieldType.number, config: { displayNameFromDS: legend(target, series.metric) }, labels: series.metric, values },
      ] as Field[],
    };
  });
}

function table(target: Target, found: Series[], several: boolean): DataFrame[] {
  const labels = [...new Set(found.flatMap((s) => Object.keys(s.metric)))].filter((l) => l !== '__name__').sort();
  return [{
    refId: target.refId, length: found.length,
    fields: [
      { name: 'Time', type: FieldType.time, config: {}, values: found.map((s) => s.values[0][0] * 1000) },
      ...labels.map((label) => ({ name: label, type: FieldType.string, config: { filterable: true }, values: found.map((s) => s.metric[label] ?? '') })),
      { name: several ? `Value #${target.refId}` : 'Value', type: FieldType.number, config: {}, values: found.map((s) => number(s.values[0][1])) },
    ] as Field[],
  }];
}

export async function frames(targets: Target[], place: Place): Promise<DataFrame[]> {
  const found = await Promise.all(targets.map((t) => (t.instant ? now : range)(t.expr, place)));
  return targets.flatMap((t, i) => (t.format === 'table' ? table(t, found[i], targets.length > 1) : lines(t, found[i], place)));
}

export interface Mark { from: number; to: number; colour: string; title: string }
export async function marks(annotations: any[], place: Place): Promise<Mark[]> {
  const asked = annotations.filter((a) => a.expr && a.enable);
  const found = await Promise.all(asked.map((a) => range(a.expr, place)));
  return asked.flatMap((a, i) => found[i].map((series) => ({
    from: series.values[0][0] * 1000, to: series.values.at(-1)![0] * 1000, colour: a.iconColor,
    title: a.titleFormat.replace(/\{\{\s*(\w+)\s*\}\}/g, (_: string, label: string) => series.metric[label] ?? ''),
  })));
}

