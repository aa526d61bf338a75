/** What of the package is mutated, by its folder below components/, with the tests that are to notice, the cheapest first. */
export const areas = {
  settings: [
    'settingsReference',
    'settingsEdges',
    'derived',
    'machineSettings',
    'settings',
    'certificates',
    'checkedSettings',
  ],
  dns: ['mtaSts', 'rateLimit', 'spf', 'recordForms', 'dnsRecords', 'dkimKeys'],
  preflight: [
    'lookUps',
    'changes',
    'existingRecords',
    'ownParts',
    'offersEdges',
    'preflight',
    'offers',
  ],
};
