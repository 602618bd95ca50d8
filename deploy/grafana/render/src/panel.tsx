// Panel: the body of a panel by its type, drawn by the components of @grafana/ui where it has one.
import { DataFrame, dateTime, FieldDisplay, getFieldDisplayValues, GrafanaTheme2, renderMarkdown, TimeRange } from '@grafana/data';
import { BarGauge, BarGaugeDisplayMode, BigValue, TimeSeries, UPlotConfigBuilder } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';  // the one that Grafana's own table panel has
import { Heat, Timeline } from './drawn';
import { Exemplar, fill, Mark, Place } from './prometheus';

export interface Shown { panel: any; frames: DataFrame[]; exemplars: Exemplar[]; marks: Mark[]; place: Place; theme: GrafanaTheme2; width: number; height: number }

function values({ panel, frames, theme }: Shown): FieldDisplay[] {
  return getFieldDisplayValues({
    fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, data: frames, theme, timeZone: 'utc', replaceVariables: (text) => text,
  });
}

function Stat(shown: Shown) {
  const { panel, theme, width, height } = shown;
  const found = values(shown);
  const across = found.length > 1 && panel.options.orientation === 'vertical';
  const each = across ? width / found.length : width, tall = across ? height : height / found.length;
  return <div style={{ display: 'flex', flexDirection: across ? 'row' : 'column' }}>{found.map((one, i) => (
    <BigValue key={i} {...panel.options} disableWideLayout={!panel.options.wideLayout} theme={theme} width={each} height={tall} value={one.display} />))}</div>;
}

function Bars(shown: Shown) {
  const { theme, width, height } = shown;
  const bars = values(shown).sort((a, b) => b.display.numeric - a.display.numeric);
  const most = Math.max(1, ...bars.map((bar) => bar.display.numeric));
  const each = Math.min(44, (height - 8) / Math.max(1, bars.length));
  return <div style={{ padding: 4 }}>{bars.map((bar) => <div key={bar.display.title} style={{ height: each, paddingBottom: 4 }}>
    <BarGauge theme={theme} width={width - 8} height={each - 4} orientation={'horizontal' as any} value={bar.display} displayMode={BarGaugeDisplayMode.Basic}
      field={{ ...bar.field, min: 0, max: most } as any} display={bar.view ? bar.view.getFieldDisplayProcessor(bar.colIndex!) : undefined} alignmentFactors={{ title: '0000', text: '0000000' } as any} showUnfilled />
  </div>)}</div>;
}

// Annotations as vertical bands, exemplars as diamonds: both lie over the curves in Grafana too.
function overlaid(config: UPlotConfigBuilder, marks: Mark[], exemplars: Exemplar[]) {
  config.addHook('draw', (u) => {
    const { ctx, bbox } = u;
    const inside = (t: number) => Math.min(bbox.left + bbox.width, Math.max(bbox.left, u.valToPos(t, 'x', true)));
    for (const mark of marks) {
      ctx.fillStyle = mark.colour;
      ctx.globalAlpha = 0.12;
      ctx.fillRect(inside(mark.from), bbox.top, inside(mark.to) - inside(mark.from), bbox.height);
      ctx.globalAlpha = 1;
      ctx.fillRect(inside(mark.from), bbox.top, 1.5, bbox.height);
    }
    const scale = Object.keys(u.scales).find((name) => name !== 'x');
    for (const e of scale ? exemplars : []) {
      const y = Math.max(bbox.top, Math.min(bbox.top + bbox.height, u.valToPos(e.value, scale!, true)));
      const x = inside(e.at);
      ctx.fillStyle = 'rgba(220,50,32,0.9)';
      ctx.fill(new Path2D(`M${x} ${y - 5}l5 5l-5 5l-5 -5z`));
    }
  });
}

function Lines({ panel, frames, place, width, height, marks, exemplars }: Shown) {
  const raw = { from: dateTime(place.from), to: dateTime(place.to) };
  const timeRange: TimeRange = { ...raw, raw };
  return <TimeSeries frames={frames} structureRev={1} width={width} height={height} timeRange={timeRange} timeZone="utc" legend={panel.options.legend} options={panel.options}>
    {(config: UPlotConfigBuilder) => { overlaid(config, marks, exemplars); return <></>; }}
  </TimeSeries>;
}

function Words({ panel, place, height }: Shown) {
  const html = renderMarkdown(fill(panel.options.content, place.variables));
  return <div className="markdown-html" style={{ padding: 8, height, overflow: 'hidden' }} dangerouslySetInnerHTML={{ __html: html }} />;
}

export function isEmpty(panel: any, frames: DataFrame[]): boolean {
  return panel.type !== 'text' && !frames.some((frame) => frame.length > 0);
}

export function Body(shown: Shown) {
  const { panel, frames, place, theme, width, height, exemplars } = shown;
  if (panel.type === 'text') return <Words {...shown} />;
  if (panel.type === 'stat') return <Stat {...shown} />;  // says itself what no data means
  if (isEmpty(panel, frames)) return <div style={{ display: 'grid', placeItems: 'center', height, color: theme.colors.text.secondary }}>{panel.fieldConfig?.defaults.noValue ?? 'No data'}</div>;
  const box = { frames, theme, width, height, from: place.from, to: place.to };
  switch (panel.type) {
    case 'timeseries': return <Lines {...shown} />;
    case 'bargauge': return <Bars {...shown} />;
    case 'table': return <TableNG data={frames[0]} width={width} height={height} cellHeight={panel.options.cellHeight} structureRev={1} enableVirtualization={false} fieldConfig={panel.fieldConfig} />;
    case 'state-timeline': return <Timeline {...box} merged />;
    case 'status-history': return <Timeline {...box} merged={false} />;
    case 'heatmap': return <Heat {...box} exemplars={exemplars} />;
    default: throw new Error(`nothing draws ${panel.type}`);
  }
}
