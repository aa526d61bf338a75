import { listMeaning, valueMeaning, type Meaning } from '../daemons/meaning';

/** What another text of a file of the system means to people. */
export const systemMeanings: Meaning[] = [
  valueMeaning(
    '/etc/hostname',
    /^(\S+)$/m,
    (before, after) =>
      `the host is ${after} instead of ${before}: mail clients that name it as their server are set up again`,
  ),
  listMeaning('/etc/mailhost/packages', /^(\S+)$/gm, {
    added: (packages) => `installs what is missing of ${packages}`,
    removed: (packages) => `no longer needs ${packages}, which stays installed`,
  }),
  listMeaning('/root/.ssh/authorized_keys2', /^(?:ssh|ecdsa|sk)\S* \S*?(\S{1,12}(?: .+)?)$/gm, {
    added: (keys) => `root can log in by SSH with one more key: …${keys}`,
    removed: (keys) => `root can no longer log in by SSH with …${keys}`,
  }),
];
