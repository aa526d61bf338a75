import { existsSync } from 'node:fs';
import { join } from 'node:path';

const above = join(__dirname, '..');

/** Folder of the package: of these sources, or of what is compiled from them in its `dist/`. */
export const packageRoot = existsSync(join(above, 'package.json')) ? above : join(above, '..');
