import { type Link } from "./link.js";

/**
 * Another server is tried beside one that has not opened after this, ms: at most three at once, a
 * mini program has five sockets.
 */
const stagger = 2000;

/**
 * Opens a connection to whichever server opens first: one after the other, a failed one's successor
 * at once, a slow one's beside it. Rejects when all have failed, with the last one's error.
 */
export function openFirst<T>(servers: T[], open: (server: T) => Link): Promise<Link> {
  return new Promise((resolve, reject) => {
    const opening: Link[] = [];
    let failures = 0;
    let done = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const next = (): void => {
      clearTimeout(timer);
      if (opening.length === servers.length) return;
      timer = setTimeout(next, stagger);
      const link = open(servers[opening.length]!);
      opening.push(link);
      link.opened.then(
        () => {
          if (done) return;
          done = true;
          clearTimeout(timer);
          for (const other of opening) if (other !== link) other.close(1000, "another server was faster");
          resolve(link);
        },
        (error) => {
          if (done) return;
          if (++failures < servers.length) return next();
          clearTimeout(timer);
          reject(error);
        },
      );
    };
    next();
  });
}
