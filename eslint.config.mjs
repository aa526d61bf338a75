import js from '@eslint/js';
import markdown from '@eslint/markdown';
import pulumi from '@pulumi/eslint-plugin';
import tseslint from 'typescript-eslint';
import prose from './docs/prose/plugin.mjs';

export default tseslint.config(
  { ignores: ['node_modules/', 'coverage/', 'dist/', 'examples/*/'] },
  { plugins: { prose } },
  {
    files: ['**/*.{js,mjs,ts}'],
    extends: [js.configs.recommended],
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    plugins: { '@pulumi': pulumi },
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: { '@pulumi/no-output-instance-in-template-literal': 'error' },
  },
  {
    files: ['**/*.md'],
    extends: [markdown.configs.recommended],
    language: 'markdown/gfm',
    rules: {
      // The syntax is that of CommonMark, and brackets in tables are text.
      'markdown/no-missing-label-refs': 'off',
      // Of this file alone: prose/links covers all.
      'markdown/no-missing-link-fragments': 'off',
      'prose/links': 'error',
    },
  },
  {
    files: ['**/*.md'],
    // Their texts are in the programs that write them.
    ignores: ['bench/README.md', 'docs/{faults,mutation,settings}.md'],
    rules: { 'prose/glossary': 'error', 'prose/width': ['error', 100] },
  },
  {
    // One subject a file, which its name says. All lines count.
    files: ['{bench,cli,components,docs,lab,test}/**/*.ts'],
    ignores: ['components/mailHostArgs.ts'],
    rules: { 'max-lines': ['error', 350] },
  },
  {
    // The story of a deployment. How a step is made belongs in components/deployment.
    files: ['components/mailHost.ts'],
    rules: { 'max-lines': ['error', 190] },
  },
  {
    // Cases of one subject, which share a lab or a table.
    files: ['test/**/*.test.ts'],
    rules: { 'max-lines': ['error', 1050] },
  },
);
