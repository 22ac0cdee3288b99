import { describe, expect, it, vi } from "vitest";
import { get, init, type Application, type Plugin } from "../src/launcher.js";

const launcher = Symbol("ILauncher");
const palette = Symbol("ICommandPalette");
const LAUNCHER = { "@jupyterlab/launcher": { "4.6.6": { get: async () => () => ({ ILauncher: launcher }) } } };
const APPUTILS = { "@jupyterlab/apputils": { "4.7.6": { get: async () => () => ({ ICommandPalette: palette }) } } };
const PYTHON = { name: "py", display_name: "Python", language: "python" };
const R = { name: "ir", display_name: "R", language: "R" };

async function plugins(scope: Parameters<typeof init>[0]): Promise<Plugin[]> {
  init(scope);
  return (await get())().default;
}

function application(attached = true) {
  const panel = { isAttached: attached, revealed: Promise.resolve(), sessionContext: { ready: Promise.resolve() } };
  const saved: Record<string, { content: { cells: { source: string }[]; metadata: object } }> = {};
  const executed: string[] = [];
  const commands: Record<string, (args: object) => Promise<unknown>> = {};
  const app = {
    commands: {
      addCommand: (id: string, options: { execute: (args: object) => Promise<unknown> }) => (commands[id] = options.execute),
      execute: async (id: string) => (executed.push(id), id === "docmanager:open" ? panel : undefined),
    },
    shell: { currentWidget: panel as unknown },
    serviceManager: {
      contents: {
        newUntitled: async ({ path }: { path: string }) => ({ path: `${path}/Untitled.ipynb` }),
        save: async (path: string, file: never) => (saved[path] = file),
      },
      kernelspecs: { ready: Promise.resolve(), specs: { default: "ir", kernelspecs: { ir: R, py: PYTHON } } },
    },
  };
  return { app: app as unknown as Application, commands, executed, panel, saved };
}

async function explore(made: ReturnType<typeof application>): Promise<unknown> {
  const [command] = await plugins({});
  command?.activate(made.app);
  return made.commands["specviz:explore"]?.({ cwd: "talks" });
}

describe("the launcher's extension", () => {
  it("asks for JupyterLab's own tokens", async () => {
    const found = await plugins({ ...LAUNCHER, ...APPUTILS });
    expect(found.flatMap((plugin) => plugin.optional)).toEqual([launcher, palette]);
  });

  it("does without a launcher, or its service", async () => {
    expect((await plugins(APPUTILS)).map((plugin) => plugin.id)).toEqual(["specviz-lab:command", "specviz-lab:palette"]);
    const add = vi.fn();
    const card = (await plugins(LAUNCHER)).at(-1);
    card?.activate(application().app, null);
    card?.activate(application().app, { add });
    expect(add).toHaveBeenCalledOnce();
    expect(add.mock.calls[0]?.[0]).toMatchObject({ command: "specviz:explore", kernelIconUrl: expect.stringContaining("svg") });
  });

  it("writes the first cell into a new notebook with a Python kernel, opens it and runs it", async () => {
    const made = application();
    expect(await explore(made)).toBe(made.panel);
    const { content } = made.saved["talks/Untitled.ipynb"] ?? {};
    expect(content?.cells.map((cell) => cell.source)).toEqual(["import specviz as sv\n\nsv.explore()"]);
    expect(content?.metadata).toEqual({ kernelspec: PYTHON });
    await vi.waitFor(() => expect(made.executed).toEqual(["docmanager:open", "notebook:run-all-cells"]));
  });

  it.each([
    ["another notebook was chosen meanwhile", true],
    ["it opened in a page of its own", false],
  ])("runs nothing if %s", async (_, attached) => {
    const made = application(attached);
    if (attached) Object.assign(made.app.shell, { currentWidget: "another" });
    await explore(made);
    await new Promise((resolve) => setTimeout(resolve));
    expect(made.executed).toEqual(["docmanager:open"]);
  });
});
