import { apiAccess } from '../apis';
import { currentLab } from '../state';

// All stand-ins in one process, which stays up: engines attach to it by `PULUMI_DEBUG_PROVIDERS`.
Object.assign(process.env, apiAccess(currentLab()));
void import('./cloudflare/main.js');
void import('./command/main.js');
void import('./hcloud/main.js');
void import('./tls/main.js');
