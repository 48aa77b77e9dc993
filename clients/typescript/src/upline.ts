/**
 * A typed client of upline's own API (`/v1`), over `fetch`: Node 20 or later, and browsers. No dependencies.
 * Copy it into your project.
 *
 * Safe to retry by construction:
 *
 * - A registration needs no key: repeating it with the same arguments gives the first answer.
 * - Every other write gets an `Idempotency-Key` when the method is called, and each retry of that call sends
 *   the same one. Give your own (an order's number, say) to make repeats of the call itself harmless, for as
 *   long as the server keeps keys: 72 hours.
 * - Retried are: requests that fail or break, 429, and 503. `Retry-After` is honored; without it the wait
 *   doubles. Everything else is thrown as `Problem`, whose `code` is stable.
 */

export type Tree = "placement" | "sponsor";
export type MemberStatus = "active" | "inactive" | "terminated";
export type MemberRole = "member" | "admin";

export interface Counts {
  direct: number;
  downline: number | null;
}

export interface Member {
  user_id: string;
  code: string;
  sponsor: string | null;
  parent: string | null;
  slot: number;
  level: number;
  sponsor_level: number;
  joined_at: string;
  status: MemberStatus;
  role: MemberRole;
  rank: number;
  placement: Counts;
  sponsored: Counts;
}

export interface MemberRow {
  user_id: string;
  code: string;
  depth: number;
  above: string | null;
  slot: number;
  joined_at: string;
  status: MemberStatus;
  role: MemberRole;
  rank: number;
  direct: number;
}

/** Minor units of a currency: cents, for an exponent of 2. */
export interface Amount {
  minor: number;
  currency: string;
  exponent: number;
}

export type BonusStatus = "pending" | "paid" | "held" | "void";

export interface Bonus {
  id: string;
  receiver: string;
  source: string | null;
  kind: string;
  level: number;
  amount: Amount;
  status: BonusStatus;
  time: string;
  lsn: number;
  plan_version: number;
  reference: string | null;
  reverses: string | null;
  reversed_by: string | null;
}

/** Which pending bonuses to pay: those to which all of it applies. */
export interface PayFilter {
  /** An LSN, or the id of a bonus: nothing that came after it is paid. */
  up_to?: string;
  kind?: string;
  receiver?: string;
  from?: string;
  to?: string;
}

export interface Paid {
  bonuses: Bonus[];
  withheld: number;
}

export interface Registration {
  user_id: string;
  /** Absent for a new root. */
  sponsor?: { user_id: string } | { code: string };
  placement?: { rule: string } | { parent: string; slot: number };
  code?: string;
  role?: MemberRole;
  joined_at?: string;
}

/** Which members a list shows, and in which order they were registered. All conditions hold. */
export interface MemberFilter {
  /** Only those without a sponsor. */
  roots?: boolean;
  status?: MemberStatus;
  role?: MemberRole;
  /** Ordinal of the rank in force; 0 for none. */
  rank?: number;
  /** Only those that joined then or later. */
  from?: string;
  /** Only those that joined before. */
  to?: string;
  order?: "oldest" | "newest";
}

/** The answer to one line of a batch: `problem` where it was refused. */
export interface Line {
  line: number;
  status: number;
  lsn?: number | null;
  user_id?: string;
  code?: string;
  parent?: string | null;
  slot?: number;
  sponsor?: string | null;
  problem?: ProblemBody | null;
}

export interface Event {
  lsn: number;
  time: string;
  [field: string]: unknown;
}

/** A command of the audit: as in the feed, with its sender. */
export interface Written extends Event {
  actor: { kind: string; id: string | null };
  command: { kind: string; [field: string]: unknown };
}

/** Which commands the audit lists: those to which all of it applies. */
export interface AuditFilter {
  actor_kind?: string;
  actor_id?: string;
  kind?: string;
  from?: string;
  to?: string;
}

interface Page<T> {
  items: T[];
  next: string | null;
}

export interface ProblemBody {
  type: string;
  title: string;
  status: number;
  code: string;
  detail?: string;
  field?: string;
  lsn?: number;
  oldest_lsn?: number;
}

/** A failure as the server describes it (RFC 9457). Branch on `code`. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly body: Partial<ProblemBody>,
  ) {
    super(`${status} ${body.code ?? "unknown"}: ${body.detail ?? body.title ?? ""}`);
    this.name = "Problem";
  }

  get code(): string {
    return this.body.code ?? "unknown";
  }
}

/** No answer, whatever was tried. A write may have been done: calling again with the same key is safe. */
export class Unreachable extends Error {
  override name = "Unreachable";
}

export interface Options {
  /** Id and secret of a service key. */
  key?: { id: string; secret: string };
  /** Gives a bearer token; asked for each request, so that it may be renewed. */
  token?: () => string | Promise<string>;
  /** Milliseconds until a request without an answer counts as failed. */
  timeout?: number;
  /** Retries of one call. */
  retries?: number;
  /** The longest wait between two of them, in milliseconds. */
  waitMax?: number;
}

type Query = Record<string, string | number | undefined>;

/** A key for one write. */
export function newKey(): string {
  return crypto.randomUUID();
}

export class Client {
  private readonly url: string;
  private readonly timeout: number;
  private readonly retries: number;
  private readonly waitMax: number;

  constructor(
    url = "http://127.0.0.1:8000",
    private readonly options: Options = {},
  ) {
    this.url = url.replace(/\/+$/, "");
    this.timeout = options.timeout ?? 30_000;
    this.retries = options.retries ?? 8;
    this.waitMax = options.waitMax ?? 30_000;
  }

  // --- members

  /** Registers a member, or gives the first answer again. */
  register(registration: Registration): Promise<Member> {
    return this.call("POST", "/v1/members", { body: registration });
  }

  /**
   * Registers many, in order, and yields an answer a line. `fetch` sends a whole body before it shows an
   * answer, so the lines go in parts.
   *
   * A part that breaks off is sent again: what was answered is durable, and a repeat of it is the same
   * member. When the server ends a part before it has answered every line, `Unreachable` is thrown.
   */
  async *registerAll(registrations: Iterable<Registration>, linesOfPart = 1_000): AsyncGenerator<Line> {
    let before = 0;
    for (const part of parts(registrations, linesOfPart)) {
      const content = part.map((line) => JSON.stringify(line) + "\n").join("");
      const ndjson = "application/x-ndjson";
      const text = await this.retry("POST", "/v1/members/batch", { content, type: ndjson, accept: ndjson });
      const lines = text.split("\n").filter((line) => line !== "");
      for (const line of lines) {
        const answer = JSON.parse(line) as Line;
        yield { ...answer, line: answer.line + before };
      }
      if (lines.length < part.length) {
        throw new Unreachable(`the batch ended after ${before + lines.length} lines`);
      }
      before += part.length;
    }
  }

  member(userId: string): Promise<Member> {
    return this.call("GET", `/v1/members/${encodeURIComponent(userId)}`);
  }

  memberByCode(code: string): Promise<Member> {
    return this.call("GET", `/v1/members/by-code/${encodeURIComponent(code)}`);
  }

  /**
   * All members of the network, or those that the filter names, page by page. For those who see the whole
   * network.
   */
  members(filter: MemberFilter = {}): AsyncGenerator<Member> {
    return this.pages("/v1/members", { ...filter, roots: filter.roots === true ? "true" : undefined });
  }

  change(
    userId: string,
    change: { status?: MemberStatus; role?: MemberRole },
    key = newKey(),
  ): Promise<unknown> {
    return this.call("PATCH", `/v1/members/${encodeURIComponent(userId)}`, { body: change, key });
  }

  /** Nearest first. */
  upline(userId: string, tree: Tree = "placement"): AsyncGenerator<MemberRow> {
    return this.pages(`/v1/members/${encodeURIComponent(userId)}/upline`, { tree });
  }

  /**
   * Breadth first, as one stream. A stream that breaks cannot be resumed: use `downlinePages` for what must
   * survive that.
   */
  downline(userId: string, tree: Tree = "placement"): AsyncGenerator<MemberRow> {
    return this.lines(`/v1/members/${encodeURIComponent(userId)}/downline`, { tree });
  }

  /** Breadth first, page by page; each page is retried by itself. */
  downlinePages(userId: string, tree: Tree = "placement"): AsyncGenerator<MemberRow> {
    return this.pages(`/v1/members/${encodeURIComponent(userId)}/downline`, { tree });
  }

  // --- bonuses

  /**
   * Pays the bonus that the plan has for `kind` to the uplines of `source`; the amount is what percentages
   * are taken of.
   */
  trigger(
    source: string,
    kind: string,
    more: { amount?: { minor: number; currency: string }; once?: boolean; reference?: string } = {},
    key = newKey(),
  ): Promise<Paid> {
    return this.call("POST", "/v1/bonuses", { body: { source, kind, ...more }, key });
  }

  /** What a member received, newest first. */
  bonuses(userId: string, status?: BonusStatus): AsyncGenerator<Bonus> {
    return this.pages(`/v1/members/${encodeURIComponent(userId)}/bonuses`, { status });
  }

  /** Totals over a window of time; the last seven days unless given. */
  report(
    userId: string,
    from?: string,
    to?: string,
  ): Promise<{ total: { bonuses: number; minor: number }; [field: string]: unknown }> {
    return this.call("GET", `/v1/members/${encodeURIComponent(userId)}/report`, { query: { from, to } });
  }

  pay(bonusId: string, key = newKey()): Promise<Bonus> {
    return this.call("POST", `/v1/bonuses/${encodeURIComponent(bonusId)}/pay`, { key });
  }

  /** Takes a bonus back, once: a pending one of the negative amount. */
  async reverse(bonusId: string, key = newKey()): Promise<Bonus> {
    const path = `/v1/bonuses/${encodeURIComponent(bonusId)}/reverse`;
    const { reversal } = await this.call<{ reversal: Bonus }>("POST", path, { key });
    return reversal;
  }

  /** Keeps payouts from taking a bonus until it is released. */
  hold(bonusId: string, reason: string, key = newKey()): Promise<Bonus> {
    return this.changeBonus(bonusId, "hold", reason, key);
  }

  /** Makes a held bonus pending again. */
  release(bonusId: string, reason: string, key = newKey()): Promise<Bonus> {
    return this.changeBonus(bonusId, "release", reason, key);
  }

  /** A pending or held bonus is never paid. This is final. */
  void(bonusId: string, reason: string, key = newKey()): Promise<Bonus> {
    return this.changeBonus(bonusId, "void", reason, key);
  }

  private changeBonus(
    bonusId: string,
    change: "hold" | "release" | "void",
    reason: string,
    key: string,
  ): Promise<Bonus> {
    const path = `/v1/bonuses/${encodeURIComponent(bonusId)}/${change}`;
    return this.call("POST", path, { body: { reason }, key });
  }

  /** Marks pending bonuses paid: all, or those that the filter names. */
  payAll(
    filter: PayFilter = {},
    key = newKey(),
  ): Promise<{ entries: number; up_to_lsn: number; [field: string]: unknown }> {
    return this.call("POST", "/v1/bonuses/pay-all", { query: { ...filter }, key });
  }

  // --- the feed

  /**
   * Everything that happened from an LSN on, in order, for ever; goes on by itself after a break.
   *
   * At least once: remember the `lsn` of what you are done with and begin after it next time.
   */
  async *events(from: number): AsyncGenerator<Event> {
    for (let failures = 0; failures <= this.retries; failures += 1) {
      try {
        for await (const event of this.lines<Event>("/v1/events", { from })) {
          failures = 0;
          if (typeof event.lsn === "number") {
            from = event.lsn + 1;
            yield event;
          }
        }
      } catch (error) {
        if (!(error instanceof Unreachable)) throw error;
      }
      await this.wait(failures, null);
    }
    throw new Unreachable("the feed cannot be reached");
  }

  /**
   * Who wrote what, newest first, as far back as the log is retained; the `Problem` behind that has the
   * status 410.
   */
  audit(filter: AuditFilter = {}): AsyncGenerator<Written> {
    return this.pages("/v1/audit", { ...filter });
  }

  // --- how it is done

  private async call<T>(
    method: string,
    path: string,
    { query = {}, body, key }: { query?: Query; body?: unknown; key?: string } = {},
  ): Promise<T> {
    const sent = body === undefined ? {} : { content: JSON.stringify(body), type: "application/json" };
    const keyed = key === undefined ? {} : { key };
    const text = await this.retry(method, path, { query, accept: "application/json", ...sent, ...keyed });
    return JSON.parse(text) as T;
  }

  private async retry(
    method: string,
    path: string,
    {
      query = {},
      content,
      type,
      accept,
      key,
    }: { query?: Query; content?: string; type?: string; accept: string; key?: string },
  ): Promise<string> {
    let reason: unknown;
    for (let attempt = 0; attempt <= this.retries; attempt += 1) {
      try {
        const headers = await this.headers(accept);
        if (key !== undefined) headers.set("Idempotency-Key", key);
        if (type !== undefined) headers.set("Content-Type", type);
        const [body, signal] = [content ?? null, AbortSignal.timeout(this.timeout)];
        const answer = await fetch(this.address(path, query), { method, headers, body, signal });
        const text = await answer.text();
        if (answer.ok) return text;
        const isTransient = answer.status === 429 || answer.status === 503;
        if (!isTransient || attempt === this.retries) throw problem(answer.status, text);
        await this.wait(attempt, answer.headers.get("Retry-After"));
      } catch (error) {
        if (error instanceof Problem) throw error;
        reason = error;
        if (attempt < this.retries) await this.wait(attempt, null);
      }
    }
    throw new Unreachable(`${method} ${path}`, { cause: reason });
  }

  private async wait(attempt: number, retryAfter: string | null): Promise<void> {
    // Doubled each time, and spread, so that many clients do not come back at once.
    const doubled = 100 * 2 ** attempt * (0.5 + Math.random());
    const wanted = retryAfter !== null && /^\d+$/.test(retryAfter) ? Number(retryAfter) * 1_000 : doubled;
    await new Promise((resolve) => setTimeout(resolve, Math.min(wanted, this.waitMax)));
  }

  private async *pages<T>(path: string, query: Query): AsyncGenerator<T> {
    let cursor: string | undefined;
    for (;;) {
      const page: Page<T> = await this.call("GET", path, { query: { ...query, limit: 1_000, cursor } });
      yield* page.items;
      // A page may be short, or empty; `next` alone says whether there is more.
      if (page.next === null) return;
      cursor = page.next;
    }
  }

  private async *lines<T>(path: string, query: Query): AsyncGenerator<T> {
    const stop = new AbortController();
    try {
      const headers = await this.headers("application/x-ndjson");
      const answer = await fetch(this.address(path, query), { headers, signal: stop.signal });
      if (!answer.ok || answer.body === null) throw problem(answer.status, await answer.text());
      let rest = "";
      const decoder = new TextDecoder();
      for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
        const pieces = (rest + decoder.decode(chunk, { stream: true })).split("\n");
        rest = pieces.pop() ?? "";
        for (const piece of pieces) {
          if (piece.trim() !== "") yield JSON.parse(piece) as T;
        }
      }
    } catch (error) {
      if (error instanceof Problem) throw error;
      throw new Unreachable(`GET ${path}`, { cause: error });
    } finally {
      // The request ends when nobody listens any more.
      stop.abort();
    }
  }

  private address(path: string, query: Query): string {
    const given = Object.entries(query).filter(
      (pair): pair is [string, string | number] => pair[1] !== undefined,
    );
    const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
    return this.url + path + (text === "" ? "" : `?${text}`);
  }

  private async headers(accept: string): Promise<Headers> {
    const headers = new Headers({ Accept: accept });
    const { key, token } = this.options;
    if (key !== undefined) {
      headers.set("X-Api-Key", key.id);
      headers.set("X-Api-Secret", key.secret);
    }
    if (token !== undefined) headers.set("Authorization", `Bearer ${await token()}`);
    return headers;
  }
}

function problem(status: number, text: string): Problem {
  try {
    return new Problem(status, JSON.parse(text) as Partial<ProblemBody>);
  } catch {
    return new Problem(status, { title: text.slice(0, 200) });
  }
}

function* parts<T>(items: Iterable<T>, size: number): Generator<T[]> {
  let part: T[] = [];
  for (const item of items) {
    part.push(item);
    if (part.length === size) {
      yield part;
      part = [];
    }
  }
  if (part.length > 0) yield part;
}
