import js from '@eslint/js';
import pulumi from '@pulumi/eslint-plugin';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['node_modules/', 'coverage/', 'dist/', 'examples/'] },
  js.configs.recommended,
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
