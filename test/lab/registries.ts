import { addresses } from '../../lab/network';

const proxy = `http://${addresses.outside.v4}:3128`;

/** Variables by which npm and pip find the way out of a lab, which others are not to take. */
export const registries = {
  npm_config_proxy: proxy,
  npm_config_https_proxy: proxy,
  npm_config_prefer_offline: 'true',
  // It asks the registry at each installation.
  npm_config_audit: 'false',
  PIP_PROXY: proxy,
};
