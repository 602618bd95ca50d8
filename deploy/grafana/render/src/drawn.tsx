// Drawn: the three panels that Grafana keeps in its core and not in its library, in the same colours.
import { DataFrame, Field, GrafanaTheme2, getDisplayProcessor } from '@grafana/data';
import { Exemplar } from './prometheus';

interface Box { frames: DataFrame[]; theme: GrafanaTheme2; width: number; height: number; from: number; to: number }
const FOOT = 24;

function Times({ theme, left, width, height, from, to }: { theme: GrafanaTheme2; left: number; width: number; height: number; from: number; to: number }) {
  const at = Array.from({ length: 6 }, (_, i) => (i + 0.5) / 6);
  return <>{at.map((share) => (
    <text key={share} x={left + share * (width - left)} y={height - 6} textAnchor="middle" fontSize={12} fill={theme.colors.text.secondary}>
      {new Date(from + share * (to - from)).toISOString().slice(11, 19)}
    </text>))}</>;
}

const valueOf = (frame: DataFrame): [Field, Field] => [frame.fields[0], frame.fields[1]];

/** State timeline (equal neighbours run together) and status history (a cell a moment). */
export function Timeline({ frames, theme, width, height, from, to, merged }: Box & { merged: boolean }) {
  const rows = [...frames].sort((a, b) => (a.name ?? '').localeCompare(b.name ?? '', 'en', { numeric: true }));
  const left = 12 + 7.2 * Math.max(...rows.map((frame) => (frame.name ?? '').length));
  const each = (height - FOOT) / rows.length;
  const x = (t: number) => left + ((t - from) / (to - from)) * (width - left - 4);
  return <svg width={width} height={height}>
    {rows.map((frame, row) => {
      const [time, value] = valueOf(frame);
      const display = value.display ?? getDisplayProcessor({ field: value, theme });
      const colours = value.values.map((v: number | null) => (v === null || Number.isNaN(v) ? null : display(v).color ?? null));
      const next = (i: number) => time.values[i + 1] ?? time.values[i] + (time.values[1] - time.values[0] || 1000);
      const spans: Array<[number, number, string]> = [];
      colours.forEach((colour, i) => {
        if (colour === null) return;
        const last = spans.at(-1);
        if (merged && last && last[2] === colour && last[1] === time.values[i]) last[1] = next(i);
        else spans.push([time.values[i], next(i), colour]);
      });
      return <g key={frame.name}>
        <text x={left - 6} y={row * each + each / 2 + 4} fontSize={Math.min(12, each)} textAnchor="end" fill={theme.colors.text.primary}>{frame.name}</text>
        {spans.map(([a, b, colour]) => <rect key={a} x={x(Math.max(a, from))} y={row * each + 1} fill={colour} fillOpacity={0.85}
          width={Math.max(1, x(Math.min(b, to)) - x(Math.max(a, from)) + 0.3)} height={Math.max(1, each * 0.88)} />)}
      </g>;
    })}
    <Times theme={theme} left={left} width={width} height={height} from={from} to={to} />
  </svg>;
}

const edge = (frame: DataFrame) => parseFloat((frame.fields[1].labels?.le ?? '+Inf').replace('+Inf', 'Infinity'));

/** Heat map of cumulative buckets, with the exemplars as diamonds. */
export function Heat({ frames, theme, width, height, from, to, exemplars }: Box & { exemplars: Exemplar[] }) {
  const rows = [...frames].sort((a, b) => edge(a) - edge(b));
  const cells = rows.map((frame, row) => new Map(frame.fields[0].values.map((t: number, i: number) => {
    const below = row ? rows[row - 1].fields[1].values[rows[row - 1].fields[0].values.indexOf(t)] ?? 0 : 0;
    return [t, Math.max(0, (frame.fields[1].values[i] ?? 0) - below)];
  })));
  const most = Math.max(1e-9, ...cells.flatMap((row) => [...row.values()]));
  const left = 44, each = (height - FOOT) / rows.length;
  const times = [...cells[0].keys()];
  const gap = times[1] - times[0] || 1000;
  const x = (t: number) => left + ((t - from) / (to - from)) * (width - left - 4);
  const y = (score: number) => {
    const row = Math.min(rows.length - 1, Math.max(0, rows.findIndex((frame) => score <= edge(frame))));
    return (rows.length - row - 0.5) * each;
  };
  return <svg width={width} height={height}>
    {cells.map((row, i) => <g key={i}>
      <text x={left - 6} y={(rows.length - i - 0.5) * each + 4} fontSize={12} textAnchor="end" fill={theme.colors.text.secondary}>{edge(rows[i]) === Infinity ? '∞' : edge(rows[i])}</text>
      {[...row].filter(([, n]) => n > 1e-9).map(([t, n]) => <rect key={t} x={x(t - gap)} y={(rows.length - 1 - i) * each + 0.5} width={Math.max(1, x(t) - x(t - gap) - 0.5)}
        height={each - 1} fill={cividis((n / most) ** 0.3)} />)}
    </g>)}
    {exemplars.map((e, i) => <path key={i} d={`M${x(e.at)} ${y(e.value) - 5}l5 5l-5 5l-5 -5z`} fill="rgba(220,50,32,0.9)" />)}
    <Times theme={theme} left={left} width={width} height={height} from={from} to={to} />
  </svg>;
}

function cividis(share: number): string {
  const stops = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];
  const at = Math.min(0.9999, Math.max(0, share)) * (stops.length - 1), low = Math.floor(at);
  return `rgb(${stops[low].map((c, i) => Math.round(c + (at - low) * (stops[low + 1][i] - c))).join(',')})`;
}
