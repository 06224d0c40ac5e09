// The own picture: the camera's, or what the worker draws.
import { useEffect, useRef } from "preact/hooks";
import type { Studio } from "./publish/studio.js";

export function OwnPicture({ studio, label }: { studio: Studio; label: string }) {
  const host = useRef<HTMLDivElement>(null);
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (!studio.ready || studio.unable) return;
    // A canvas whose control went to the worker cannot be given again: one for each place of the
    // page.
    const canvas = document.createElement("canvas");
    canvas.setAttribute("aria-hidden", "true");
    host.current!.append(canvas);
    studio.preview(canvas);
    return () => canvas.remove();
  }, [studio, studio.ready, studio.unable]);
  useEffect(() => {
    if (video.current && video.current.srcObject !== (studio.camera ?? null)) video.current.srcObject = studio.camera ?? null;
  });
  return (
    <div ref={host} class={studio.camera ? "own-picture camera" : "own-picture"} role="img" aria-label={label}>
      <video ref={video} autoplay muted playsInline hidden={!studio.camera} aria-hidden="true" />
    </div>
  );
}
