// What TypeScript makes of the description: choices are told apart by their field, without a cast.
import type { components, paths } from "./schema.js";

type Schemas = components["schemas"];

export function who(command: Schemas["Command"]): string {
  switch (command.kind) {
    case "register":
      return command.placement.by === "slot"
        ? `${command.user_id} at ${command.placement.slot}`
        : command.user_id;
    case "trigger_bonus":
      return command.source;
    case "set_status":
      return `${command.user_id}: ${command.status}`;
    case "put_plan":
      return command.plan.ladder.live.rule === "thresholds"
        ? (command.plan.ladder.live.basis ?? "downline")
        : command.plan.name;
    default:
      return command.kind;
  }
}

export function place(line: Schemas["LineAnswer"]): string {
  return "problem" in line ? line.problem.code : `${line.user_id} ${line.slot}`;
}

export type Answer = paths["/v1/members"]["post"]["responses"][201]["content"]["application/json"];
export const slot = (member: Answer): number => member.slot;
