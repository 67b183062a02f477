// A live camera: about two pictures a second are asked about, until it is stopped or not looked at.

const EVERY = 500; // milliseconds from one picture to the next
const SIDE = 320; // pixels: more than any network sees
const PATIENCE = 3; // failures in a row after which it ends

const REFUSALS = {
  NotAllowedError: "The camera was not allowed. Allow it for this site in the browser’s address " +
    "bar and press “Live camera” again, or choose a photo.",
  NotFoundError: "This device has no camera that the browser can find. Choose a photo instead.",
  NotReadableError: "Another program is using the camera. Close it and press “Live camera” " +
    "again, or choose a photo.",
};
const NO_CAMERA = "This browser allows the camera only on pages served over HTTPS. Choose a " +
  "photo instead.";

export class Camera {
  #video;
  #form;
  #seen;
  #announce;
  #stream = null;
  #off = new AbortController();
  #said = "";

  // `announce` is told what is seen, and when it ends, why; `ended` is called then, and `playing` as
  // soon as there is a picture.
  constructor(form, announce, {playing, ended}) {
    this.#form = form;
    this.#video = form.querySelector(".drop-video");
    this.#seen = form.querySelector(".drop-seen");
    this.#announce = announce;
    this.playing = playing;
    this.ended = ended;
  }

  async start() {
    try {
      if (!navigator.mediaDevices) throw new Error(NO_CAMERA);
      const stream = await navigator.mediaDevices.getUserMedia(
        {audio: false, video: {facingMode: "environment", width: {ideal: 1280}}},
      );
      if (this.#off.signal.aborted) {
        end(stream);
        return;
      }
      this.#stream = stream;
      this.#video.srcObject = stream;
      await this.#video.play();
    } catch (error) {
      this.stop(REFUSALS[error.name] ?? (error.message === NO_CAMERA ? NO_CAMERA
        : "The camera could not be started. Choose a photo instead."));
      return;
    }
    if (this.#off.signal.aborted) return;
    this.#video.hidden = false;
    this.playing();
    const {signal} = this.#off;
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.stop("The camera was stopped because this page was out of sight.");
    }, {signal});
    addEventListener("pagehide", () => this.stop(""), {signal});
    this.#stream.getVideoTracks()[0].addEventListener("ended", () => {
      this.stop("The camera was switched off.");
    }, {signal});
    this.#watch();
  }

  // The picture that is seen now, as a file; nothing before there is one.
  async frame() {
    return this.#video.videoWidth ? this.#picture(Infinity) : null;
  }

  stop(why) {
    if (this.#off.signal.aborted) return;
    this.#off.abort();
    end(this.#stream);
    this.#video.srcObject = null;
    this.#video.hidden = this.#seen.hidden = true;
    this.#announce(why);
    this.ended();
  }

  async #watch() {
    const {signal} = this.#off;
    let failures = 0;
    while (!signal.aborted) {
      const next = new Promise((resolve) => { setTimeout(resolve, EVERY); });
      try {
        this.#show(await this.#ask(signal));
        failures = 0;
      } catch (error) {
        failures += 1;
        if (failures === PATIENCE) {
          this.stop(error.said ?? "The connection was lost. Press “Live camera” to go on.");
        }
      }
      await next;
    }
  }

  async #ask(signal) {
    const data = new FormData();
    data.append("image", await this.#picture(SIDE));
    const model = this.#form.querySelector("[name=model]");
    if (model) data.append("model", model.value);
    const answer = await fetch(this.#form.dataset.frames, {
      method: "POST", body: data, signal, headers: {Accept: "application/json"},
    });
    const found = await answer.json();
    if (!answer.ok) throw Object.assign(new Error("refused"), {said: found.error.detail});
    return found;
  }

  #show({label, known, verdict, familiarity, probabilities}) {
    if (this.#off.signal.aborted) return;
    const [name, share] = this.#seen.children;
    const words = known ? (verdict === "unsure" ? "perhaps " : "") + label : "none of the classes";
    name.textContent = words;
    // As pages state it: of any picture, and not only of one that shows a class.
    const stated = probabilities[label] * (familiarity ?? 1);
    share.textContent = known ? `${Math.round(stated * 100)}%` : "";
    this.#seen.hidden = false;
    if (words !== this.#said) this.#announce(`The camera sees: ${words}.`);
    this.#said = words;
  }

  #picture(longest) {
    const {videoWidth: width, videoHeight: height} = this.#video;
    const scale = Math.min(1, longest / Math.max(width, height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(width * scale));
    canvas.height = Math.max(1, Math.round(height * scale));
    canvas.getContext("2d").drawImage(this.#video, 0, 0, canvas.width, canvas.height);
    return new Promise((resolve) => {
      canvas.toBlob((blob) => {
        resolve(new File([blob], "camera.jpg", {type: "image/jpeg"}));
      }, "image/jpeg", 0.9);
    });
  }
}

function end(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
