/* The feed: the WebSocket by which the server pushes a snapshot, then about ten deltas a second (see ui/feed.py). */

const HIDDEN_MS = 15000; // a tab hidden this long lets its race rest

/** The socket: reconnects with backoff, rests while the tab is hidden, heals a gap by a new snapshot. */
export class Feed {
  constructor(onMessage, onConnection) {
    Object.assign(this, { onMessage, onConnection, url: null, socket: null, seq: null, delay: 250 });
    this.whenVisible = () => this.visibilityChanged();
    document.addEventListener("visibilitychange", this.whenVisible);
    window.addEventListener("online", this.whenVisible);
  }

  follow(feed) {
    if (feed === this.feed) return;
    this.feed = feed;
    this.url = new URL(feed, window.location.href);
    this.url.protocol = this.url.protocol === "https:" ? "wss:" : "ws:";
    this.delay = 250;
    this.drop();
    this.connect();
  }

  connect() {
    clearTimeout(this.retry);
    if (!this.url || this.socket) return;
    const socket = (this.socket = new WebSocket(this.url));
    this.seq = null;
    socket.onmessage = (event) => socket === this.socket && this.receive(JSON.parse(event.data));
    socket.onclose = (event) => socket === this.socket && this.lost(event.code);
  }

  receive(message) {
    if (message.type === "delta" && message.seq !== this.seq + 1) return this.socket.close();
    this.seq = message.seq;
    if (message.type === "snapshot") {
      this.delay = 250;
      this.onConnection("open");
    }
    this.onMessage(message);
  }

  lost(code) {
    this.socket = null;
    if (code === 4403 || code === 4404) {
      this.url = null;
      return this.onConnection(code === 4403 ? "refused" : "gone");
    }
    this.onConnection("lost");
    if (this.resting) return;
    this.retry = setTimeout(() => this.connect(), this.delay * (0.75 + 0.5 * Math.random()));
    this.delay = Math.min(5000, 2 * this.delay);
  }

  visibilityChanged() {
    clearTimeout(this.rest);
    this.resting = false;
    if (!document.hidden) return this.connect();
    this.rest = setTimeout(() => {
      this.resting = true;
      this.drop();
    }, HIDDEN_MS);
  }

  drop() {
    clearTimeout(this.retry);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  dispose() {
    clearTimeout(this.rest);
    document.removeEventListener("visibilitychange", this.whenVisible);
    window.removeEventListener("online", this.whenVisible);
    this.drop();
    this.url = null;
  }
}
