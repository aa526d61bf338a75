import { declareValuePlugin, PluginKind } from '@stryker-mutator/api/plugin';

const words = /[a-z]{2,}[,:;]? [a-z]{2,}/i;
const isPlain = (path) => path.isIdentifier() || path.isMemberExpression();

/** Texts for a person: two words beside each other, around plain values. */
export const strykerPlugins = [
  declareValuePlugin(PluginKind.Ignore, 'prose', {
    shouldIgnore(path) {
      const isProse =
        (path.isStringLiteral() && words.test(path.node.value)) ||
        (path.isTemplateLiteral() &&
          path.node.quasis.some(({ value }) => words.test(value.raw)) &&
          path.get('expressions').every(isPlain));
      return isProse ? 'text for a person' : undefined;
    },
  }),
];
