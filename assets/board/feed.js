/* The feed: the WebSocket by which the server pushes a snapshot, then about ten deltas a second, and the board asks for
   a shortcut to be cut (see ui/feed.py). */

const HIDDEN_MS = 15000; // a tab hidden this long lets its race rest
const SILENT_MS = 2000; // the server says something each second: after this long without a word it is not to be heard
const DEAD_MS = 8000; // and after this the socket is given up, for it may never say so itself
const ENDS = { 4401: "wrong_token", 4403: "stranger", 4404: "gone" }; // the server's close codes after which to ask is in vain
const BLOCKED = 4; // attempts without a word, none before that had one: something between keeps the socket from opening

/** An address beside the page's own, as Streamlit's are: under whatever path the page is served. */
export const besidePage = (address) => new URL(address, window.location.href);

/**
 * The socket: reconnects with backoff, rests while the tab is hidden, heals a gap by a new snapshot. How it stands it tells
 * by a word: open, silent, lost, blocked, or one of ENDS.
 */
export class Feed {
  constructor(onMessage, onConnection) {
    Object.assign(this, { onMessage, onConnection, url: null, socket: null, seq: null, delay: 250, attempts: 0, asked: [] });
    this.whenVisible = () => this.visibilityChanged();
    document.addEventListener("visibilitychange", this.whenVisible);
    window.addEventListener("online", this.whenVisible);
  }

  follow(feed) {
    if (feed === this.feed) return;
    this.feed = feed;
    this.asked = [];
    this.url = besidePage(feed);
    this.url.protocol = this.url.protocol === "https:" ? "wss:" : "ws:";
    this.delay = 250;
    this.attempts = 0;
    this.drop();
    this.connect();
  }

  connect() {
    clearTimeout(this.retry);
    if (!this.url || this.socket) return;
    const socket = (this.socket = new WebSocket(this.url));
    this.seq = null;
    this.attempts += 1;
    this.listen();
    socket.onmessage = (event) => socket === this.socket && this.receive(JSON.parse(event.data));
    socket.onclose = (event) => socket === this.socket && this.lost(event.code);
  }

  receive(message) {
    if (message.type === "delta" && message.seq !== this.seq + 1) return this.socket.close();
    this.listen();
    this.heard();
    this.sendAsked();
    if (message.type === "beat") return;
    this.seq = message.seq ?? this.seq; // an answer to what this board asked for is none of the race's messages
    this.onMessage(message);
  }

  heard() {
    Object.assign(this, { delay: 250, attempts: -Infinity });
    this.tell("open");
  }

  /** Ask the server for something; where it is not to be heard now, as soon as it is. */
  send(message) {
    this.asked.push(message);
    if (this.socket?.readyState === WebSocket.OPEN) this.sendAsked();
  }

  sendAsked() {
    for (const message of this.asked.splice(0)) this.socket.send(JSON.stringify(message));
  }

  tell(connection) {
    if (connection !== this.connection) this.onConnection((this.connection = connection));
  }

  /** Say where nothing has come for a while; in the end, open another socket. */
  listen() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      if (this.connection === "open") this.tell("silent");
      this.silence = setTimeout(() => {
        this.drop();
        this.lost();
      }, DEAD_MS - SILENT_MS);
    }, SILENT_MS);
  }

  lost(code) {
    clearTimeout(this.silence);
    this.socket = null;
    if (code in ENDS) {
      this.url = null;
      return this.tell(ENDS[code]);
    }
    this.tell(this.attempts < BLOCKED ? "lost" : "blocked");
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
    clearTimeout(this.silence);
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
