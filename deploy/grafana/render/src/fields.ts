// Fields: transformations, overrides, units, mappings and thresholds by the code of @grafana/data.
import {
  applyFieldOverrides, cacheFieldDisplayNames, booleanOverrideProcessor, DataFrame, displayNameOverrideProcessor, FieldConfigOptionsRegistry,
  GrafanaTheme2, identityOverrideProcessor, numberOverrideProcessor, standardTransformers, standardTransformersRegistry,
  stringOverrideProcessor, thresholdsOverrideProcessor, transformDataFrame, unitOverrideProcessor, valueMappingsOverrideProcessor,
} from '@grafana/data';
import { firstValueFrom } from 'rxjs';

const processors: Record<string, any> = {
  unit: unitOverrideProcessor, min: numberOverrideProcessor, max: numberOverrideProcessor, decimals: numberOverrideProcessor,
  displayName: displayNameOverrideProcessor, noValue: stringOverrideProcessor, color: identityOverrideProcessor,
  thresholds: thresholdsOverrideProcessor, mappings: valueMappingsOverrideProcessor, links: identityOverrideProcessor,
  filterable: booleanOverrideProcessor,
};
const custom = [
  'drawStyle', 'lineWidth', 'fillOpacity', 'showPoints', 'spanNulls', 'stacking', 'thresholdsStyle', 'cellOptions', 'align', 'width', 'minWidth',
  'scaleDistribution',
];

function item(id: string, isCustom: boolean): any {
  return {
    id: isCustom ? `custom.${id}` : id, path: id, name: id, isCustom, shouldApply: () => true,
    process: isCustom ? identityOverrideProcessor : processors[id], editor: () => null, override: () => null,
  };
}

const registry = new FieldConfigOptionsRegistry(() => [
  ...Object.keys(processors).map((id) => item(id, false)), ...custom.map((id) => item(id, true)),
]);

// Two names of one transformation are in the library's own list: each id once.
const known = [...new Map(Object.values(standardTransformers).map((one: any) => [one.id, one])).values()];
standardTransformersRegistry.setInit(() => known.map((transformation: any) => ({
  id: transformation.id, name: transformation.name, transformation: async () => transformation, editor: () => null, imageDark: '', imageLight: '',
})) as any);

function withThresholds(defaults: any): any {
  const steps = defaults.thresholds?.steps ?? [{ value: null, color: 'green' }, { value: 80, color: 'red' }];
  return { ...defaults, thresholds: { mode: 'absolute', steps: steps.map((s: any) => ({ ...s, value: s.value ?? -Infinity })) } };
}

export async function dressed(panel: any, raw: DataFrame[], theme: GrafanaTheme2, replace: (text: string) => string): Promise<DataFrame[]> {
  const changes = panel.transformations ?? [];
  const data = changes.length ? await firstValueFrom(transformDataFrame(changes, raw)) : raw;
  const missing = changes.filter((change: any) => !standardTransformersRegistry.getIfExists(change.id));
  if (missing.length) throw new Error(`no transformation ${missing[0].id}`);
  const shown = applyFieldOverrides({
    data, theme, fieldConfigRegistry: registry, replaceVariables: replace, timeZone: 'utc',
    fieldConfig: { defaults: withThresholds(panel.fieldConfig?.defaults ?? {}), overrides: panel.fieldConfig?.overrides ?? [] },
  });
  cacheFieldDisplayNames(shown);
  return shown;
}
