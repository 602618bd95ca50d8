// Main: a dashboard's JSON, its queries to a real Prometheus, and its panels on Grafana's grid.
// The page's title says `ready` and, as JSON, all that went wrong and which panels are empty.
import { createTheme, DataFrame, getValueFormats, ThemeContext } from '@grafana/data';
import { GlobalStyles, PanelChrome, PortalContainer } from '@grafana/ui';
import React from 'react';
import { createRoot } from 'react-dom/client';
import { dressed } from './fields';
import { Body, isEmpty } from './panel';
import { Exemplar, exemplars, fill, frames, marks, Place } from './prometheus';

const asked = new URLSearchParams(location.search);
const theme = createTheme({ colors: { mode: asked.get('theme') === 'light' ? 'light' : 'dark' } });
const to = +(asked.get('to') ?? Date.now());
const given = Object.fromEntries([...asked].filter(([k]) => k.startsWith('var-')).map(([k, v]) => [k.slice(4), v]));
const wrong: string[] = [];

class Catch extends React.Component<{ children: React.ReactNode; name: string }, { error: Error | null }> {
  state = { error: null };
  static getDerivedStateFromError(error: Error) { return { error }; }
  componentDidCatch(error: Error) { wrong.push(`${this.props.name}: ${error.message}`); }
  render() { return this.state.error ? <pre>{String((this.state.error as Error).stack).slice(0, 500)}</pre> : this.props.children; }
}

function variables(board: any): Record<string, string> {
  const own = board.templating.list.map((v: any) => [v.name, v.type === 'query' ? '.*' : v.current.value]);
  return { ...Object.fromEntries(own), ...given };
}

interface Loaded { panel: any; frames: DataFrame[]; exemplars: Exemplar[] }
async function load(panel: any, place: Place): Promise<Loaded> {
  const name = `panel ${panel.title}`;
  try {
    const raw = await frames(panel.targets ?? [], place);
    const diamonds = await Promise.all((panel.targets ?? []).map((target: any) => exemplars(target, place)));
    const shown = await dressed(panel, raw, theme, (text) => fill(text, place.variables));
    return { panel, frames: shown, exemplars: diamonds.flat() };
  } catch (error) {
    wrong.push(`${name}: ${(error as Error).message}`);
    return { panel, frames: [], exemplars: [] };
  }
}

function unitsOf(board: any) {
  const known = new Set(getValueFormats().flatMap((group) => group.submenu!.map((unit: any) => unit.value)));
  for (const panel of board.panels) {
    const unit = panel.fieldConfig?.defaults?.unit;
    if (unit && !known.has(unit) && !/^(time|prefix|suffix|count):/.test(unit)) wrong.push(`panel ${panel.title}: unknown unit ${unit}`);
  }
}

const ROW = 38, GAP = 8;
function Board({ board, loaded, place, drawn }: { board: any; loaded: Loaded[]; place: Place; drawn: any[] }) {
  const column = (innerWidth - GAP) / 24;
  const height = Math.max(...board.panels.map((p: any) => (p.gridPos.y + p.gridPos.h) * ROW));
  const clock = (t: number) => new Date(t).toISOString().slice(11, 19);
  return <div style={{ padding: GAP, background: theme.colors.background.canvas, color: theme.colors.text.primary, minHeight: height + 60 }}>
    <h3 style={{ margin: '0 0 8px' }}>{board.title} <small style={{ color: theme.colors.text.secondary }}>{clock(place.from)} to {clock(place.to)} UTC</small></h3>
    <div id="grid" style={{ position: 'relative', height }}>{loaded.map(({ panel, frames, exemplars }) => {
      const { x, y, w, h } = panel.gridPos;
      const width = Math.floor(w * column - GAP), tall = h * ROW - GAP;
      const title = fill(panel.title, place.variables);
      return <div key={panel.id} style={{ position: 'absolute', left: x * column, top: y * ROW, width, height: tall }}>
        <Catch name={title}><PanelChrome title={title} description={panel.description} width={width} height={tall} padding="none">
          {(inner, high) => <Catch name={title}><Body panel={panel} frames={frames} exemplars={exemplars} marks={drawn} place={place} theme={theme} width={inner} height={high} /></Catch>}
        </PanelChrome></Catch>
      </div>;
    })}</div>
  </div>;
}

async function main() {
  const board = await (await fetch(asked.get('board')!)).json();
  const place = { url: asked.get('prometheus')!, from: +(asked.get('from') ?? to - 600e3), to, scrape: +(asked.get('scrape') ?? 1), variables: variables(board) };
  unitsOf(board);
  const [loaded, drawn] = await Promise.all([
    Promise.all(board.panels.map((panel: any) => load(panel, place))), marks(board.annotations.list, place),
  ]);
  createRoot(document.getElementById('root')!).render(
    <ThemeContext.Provider value={theme}><GlobalStyles /><PortalContainer /><Board board={board} loaded={loaded as Loaded[]} place={place} drawn={drawn} /></ThemeContext.Provider>,
  );
  const empty = (loaded as Loaded[]).filter((one) => isEmpty(one.panel, one.frames)).map((one) => one.panel.title);
  setTimeout(() => { document.title = `ready ${JSON.stringify({ wrong, empty, marks: drawn.length })}`; }, 2000);
}

main().catch((error) => { document.title = `ready ${JSON.stringify({ wrong: [String(error.stack)], empty: [], marks: 0 })}`; });
