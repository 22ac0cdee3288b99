import icon from "./launcher.svg";

/**
 * A JupyterLab extension without JupyterLab's packages and builder: `init` and `get` are what its loader asks of a
 * container of module federation. The tokens of JupyterLab's services come out of the share scope that it hands over.
 */

export type ShareScope = Record<string, Record<string, { get(): Promise<() => Record<string, unknown>> }>>;

/** A notebook in JupyterLab's main area; in Notebook 7, which opens one in a new page, it stays unattached. */
interface Panel {
  readonly isAttached: boolean;
  readonly revealed: Promise<void>;
  readonly sessionContext: { readonly ready: Promise<void> };
}

interface File {
  path: string;
  [field: string]: unknown;
}

interface KernelSpec {
  name: string;
  display_name: string;
  language: string;
}

export interface Application {
  commands: {
    addCommand(id: string, options: object): void;
    execute(id: string, args?: object): Promise<unknown>;
  };
  shell: { readonly currentWidget: unknown };
  serviceManager: {
    contents: {
      newUntitled(options: { path: string; type: "notebook" }): Promise<File>;
      save(path: string, file: object): Promise<unknown>;
    };
    kernelspecs: {
      readonly ready: Promise<void>;
      readonly specs: { default: string; kernelspecs: Record<string, KernelSpec | undefined> } | null;
    };
  };
}

export interface Plugin {
  id: string;
  description: string;
  autoStart: true;
  optional: unknown[];
  activate(app: Application, service?: unknown): void;
}

interface Launcher {
  add(item: { command: string; category: string; rank: number; kernelIconUrl: string }): void;
}

interface Palette {
  addItem(item: { command: string; category: string }): void;
}

const COMMAND = "specviz:explore";
const SOURCE = "import specviz as sv\n\nsv.explore()";

let shared: ShareScope = {};

export function init(scope: ShareScope): void {
  shared = scope;
}

export async function get(): Promise<() => { __esModule: true; default: Plugin[] }> {
  const command: Plugin = {
    id: "specviz-lab:command",
    description: "Opens the Explorer in a new notebook.",
    autoStart: true,
    optional: [],
    activate: (app) =>
      app.commands.addCommand(COMMAND, {
        label: "Speculative decoding",
        caption: "Open specviz's Explorer in a new notebook",
        execute: ({ cwd = "" }: { cwd?: string }) => openExplorer(app, cwd),
      }),
  };
  const ways = await Promise.all([
    way<Launcher>("card", "@jupyterlab/launcher", "ILauncher", (launcher) =>
      launcher.add({ command: COMMAND, category: "Notebook", rank: 1, kernelIconUrl: icon }),
    ),
    way<Palette>("palette", "@jupyterlab/apputils", "ICommandPalette", (palette) =>
      palette.addItem({ command: COMMAND, category: "Notebook Operations" }),
    ),
  ]);
  return () => ({ __esModule: true, default: [command, ...ways.flat()] });
}

/** The plugin that offers the command by one of JupyterLab's services; none in an application that lacks its package. */
async function way<Service>(name: string, library: string, token: string, add: (service: Service) => void): Promise<Plugin[]> {
  const module = Object.values(shared[library] ?? {})[0]; // JupyterLab shares its own packages in one version
  if (!module) return [];
  return [
    {
      id: `specviz-lab:${name}`,
      description: `The Explorer by ${token}.`,
      autoStart: true,
      optional: [(await module.get())()[token]],
      activate: (_, service) => {
        if (service) add(service as Service);
      },
    },
  ];
}

async function openExplorer(app: Application, folder: string): Promise<unknown> {
  const { contents, kernelspecs } = app.serviceManager;
  await kernelspecs.ready;
  const file = await contents.newUntitled({ path: folder, type: "notebook" });
  await contents.save(file.path, { ...file, type: "notebook", format: "json", content: notebook(pythonKernel(kernelspecs.specs)) });
  const panel = (await app.commands.execute("docmanager:open", { path: file.path, factory: "Notebook" })) as Panel | undefined;
  if (panel?.isAttached) void run(app, panel);
  return panel;
}

/** The default kernel if it speaks Python, otherwise the first that does; none leaves the choice to JupyterLab. */
function pythonKernel(specs: Application["serviceManager"]["kernelspecs"]["specs"]): KernelSpec | undefined {
  const all = [specs?.kernelspecs[specs.default], ...Object.values(specs?.kernelspecs ?? {})];
  return all.find((spec) => spec?.language === "python");
}

function notebook(spec: KernelSpec | undefined): object {
  const kernelspec = spec && { name: spec.name, display_name: spec.display_name, language: spec.language };
  return {
    cells: [{ cell_type: "code", id: "explore", metadata: {}, source: SOURCE, outputs: [], execution_count: null }],
    metadata: kernelspec ? { kernelspec } : {},
    nbformat: 4,
    nbformat_minor: 5,
  };
}

/** Run the cell as soon as there is a kernel, unless the user went to another notebook in the meantime. */
async function run(app: Application, panel: Panel): Promise<void> {
  await panel.revealed;
  await panel.sessionContext.ready;
  if (app.shell.currentWidget === panel) await app.commands.execute("notebook:run-all-cells");
}
