// Prompt cells (%%llx and others) in the colours of Markdown, with Python in {{ }}, in JupyterLab 4 and Notebook 7.
//
// The page runs this file as it is. It is a container as JupyterLab loads them, and shares JupyterLab's own modules:
// https://jupyterlab.readthedocs.io/en/stable/extension/extension_dev.html#overview-of-extensions
// https://webpack.js.org/concepts/module-federation/
//
// The cell's type and MIME type stay as they are: the language of the editor alone changes, so nothing of it is saved
// and completion, running and language servers see the code cell that it is.

(() => {
  "use strict";

  const NAME = "llx-magic";

  // The cell magics whose text is a prompt; scripts/make_docs.py writes this line from the table of commands.
  const CELL_MAGICS = ["llx", "llx_map"];

  const COMMAND = new RegExp(`^\\s*%%(?:${CELL_MAGICS.join("|")})(?=\\s|$)`);

  // The words of a command that have a colour, and the name of each one's node.
  const WORDS = /(?<Magic>%%\w+)|(?<Value>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?<Option>(?<=\s)--?[A-Za-z][\w-]*)/g;

  // ---- Where the expressions are, as llx_magic/template/template.py has it ----

  const MARK = /['"(\[{}\])]/g;
  const LONGEST = 4000; // characters; an expression that is longer, or has a blank line in it, is shown as text

  /** Return the position behind the }} that is in no string and no bracket, or -1. */
  function endOfExpression(text, start) {
    const [within] = text.slice(start, start + LONGEST).split(/\n[ \t]*\n/, 1);
    let depth = 0;
    MARK.lastIndex = 2;
    for (let found; (found = MARK.exec(within)); ) {
      const mark = found[0];
      if (mark === "'" || mark === '"') {
        MARK.lastIndex = endOfString(within, mark, found.index + 1);
      } else if ("([{".includes(mark)) {
        depth += 1;
      } else if (!depth && within.startsWith("}}", found.index)) {
        return start + found.index + 2;
      } else {
        depth = Math.max(0, depth - 1);
      }
    }
    return -1;
  }

  /** Return the position behind the quote that closes a string; one that nothing closes is no string. */
  function endOfString(text, quote, start) {
    for (let at = start; at < text.length; at += text[at] === "\\" ? 2 : 1) {
      if (text[at] === quote) return at + 1;
    }
    return start;
  }

  /** Yield where each expression begins and ends, its braces included; a {{ that nothing closes is text. */
  function* expressions(text) {
    for (let start = text.indexOf("{{"); start >= 0; ) {
      const end = endOfExpression(text, start);
      if (end >= 0) yield [start, end];
      start = text.indexOf("{{", end >= 0 ? end : start + 2);
    }
  }

  // ---- The language: JupyterLab's own Markdown, which is told of the command and of the expressions ----

  function promptMarkdown(tags) {
    const command = {
      name: "Command",
      before: "IndentedCode",
      parse(context, line) {
        if (!COMMAND.test(line.text)) return false;
        const start = context.lineStart, words = [];
        for (const { index, 0: word, groups } of line.text.matchAll(WORDS)) {
          const name = Object.keys(groups).find((each) => groups[each]);
          words.push(context.elt(name, start + index, start + index + word.length));
        }
        context.addElement(context.elt("Command", start, start + line.text.length, words));
        context.nextLine();
        return true;
      },
      // A paragraph is read anew with each key, so one of a whole log is cut.
      endLeaf: (context, line, leaf) => leaf.content.length > LONGEST,
    };
    // Else rows[0][1] would be a link, and a*b*c have an emphasis.
    const expression = {
      name: "Expression",
      before: "Escape",
      parse(context, next, at) {
        if (context.slice(at, at + 2) !== "{{") return -1;
        const end = endOfExpression(context.slice(at, context.end), 0);
        return end < 0 ? -1 : context.addElement(context.elt("Expression", at, at + end));
      },
    };
    const nodes = [
      { name: "Command", block: true },
      { name: "Magic", style: tags.keyword },
      { name: "Option", style: tags.attributeName },
      { name: "Value", style: tags.string },
      { name: "Expression" },
    ];
    return { defineNodes: nodes, parseBlock: [command], parseInline: [expression] };
  }

  /** Return what colours the code in {{ }}, which may stand in a heading or a code block as well: what is seen of it. */
  function expressionColours({ highlight, language, state, view }, python) {
    const { Decoration, EditorView, ViewPlugin } = view;
    const [whole, braces] = ["llx-expression", "llx-braces"].map((name) => Decoration.mark({ class: name }));

    function colours(editor) {
      const found = new state.RangeSetBuilder();
      const style = (tags) => language.highlightingFor(editor.state, tags);
      let done = commandEnd(editor.state.doc);
      for (const { from, to } of editor.visibleRanges) {
        const start = Math.max(done, from - LONGEST);
        const text = editor.state.sliceDoc(start, to + LONGEST);
        for (const [begin, end] of expressions(text)) {
          if (start + begin < done || start + begin > to) continue;
          done = start + end;
          found.add(start + begin, done, whole);
          found.add(start + begin, start + begin + 2, braces);
          const code = text.slice(begin + 2, end - 2), at = start + begin + 2 + code.search(/\S|$/);
          highlight.highlightTree(python.parse(code.trim()), { style }, (one, other, name) =>
            found.add(at + one, at + other, Decoration.mark({ class: name })));
          found.add(done - 2, done, braces);
        }
      }
      return found.finish();
    }

    const painter = ViewPlugin.fromClass(class {
      constructor(editor) {
        this.decorations = colours(editor);
      }

      update(update) {
        if (update.docChanged || update.viewportChanged || update.transactions.some((each) => each.reconfigured)) {
          this.decorations = colours(update.view);
        }
      }
    }, { decorations: (made) => made.decorations });
    return [
      state.Prec.highest(painter), // within what Markdown colours, not around it
      EditorView.baseTheme({
        ".llx-expression": { color: "var(--jp-content-font-color1)", fontWeight: "normal", fontStyle: "normal" },
        ".llx-braces": { color: "var(--jp-mirror-editor-operator-color)", fontWeight: "bold" },
      }),
    ];
  }

  /** Return what the editor of a prompt cell has. */
  async function promptMode(languages, modules) {
    const { highlight, language, state } = modules;
    const [markdown, python] = await Promise.all(
      ["text/x-ipythongfm", "text/x-ipython"].map(async (mime) => (await languages.getLanguage(mime)).support),
    );
    const prompt = markdown.language.parser.configure(promptMarkdown(highlight.tags));
    return state.Prec.high([
      // A cell is commented out as a whole, and with its magic it is Python to the kernel.
      state.EditorState.languageData.of(() => [{ commentTokens: { line: "#" } }]),
      new language.Language(markdown.language.data, prompt, [], "prompt").extension,
      markdown.support,
      expressionColours(modules, python.language.parser),
    ]);
  }

  // ---- The switch: an editor of a code cell has the language as long as its first line is such a command ----

  /** Return where the text below the command begins; 0 where the first line is none. */
  function commandEnd(document) {
    let end = 0;
    for (const line of document.iterLines()) {
      end += line.length + 1;
      if (line.trim()) return COMMAND.test(line) ? Math.min(end, document.length) : 0;
    }
    return 0;
  }

  function switching({ state, view }, mode) {
    const slot = new state.Compartment();
    const follower = view.ViewPlugin.fromClass(class {
      constructor(editor) {
        this.wanted = false;
        this.follow(editor);
      }

      update(update) {
        if (update.docChanged) this.follow(update.view);
      }

      async follow(editor) {
        const wanted = commandEnd(editor.state.doc) > 0;
        if (wanted === this.wanted) return;
        this.wanted = wanted;
        const content = wanted ? await mode() : await [];
        if (wanted === this.wanted) editor.dispatch({ effects: slot.reconfigure(content) });
      }
    });
    return [slot.of([]), follower];
  }

  function plugin(modules) {
    const { EditorExtensionRegistry, IEditorExtensionRegistry, IEditorLanguageRegistry } = modules.codemirror;
    return {
      id: `${NAME}:prompt-cells`,
      description: "Shows prompt cells as Markdown with Python in {{ }}.",
      autoStart: true,
      requires: [IEditorExtensionRegistry, IEditorLanguageRegistry],
      activate: (app, extensions, languages) => {
        let made; // when the first prompt cell is seen
        const extension = switching(modules, () => (made ??= promptMode(languages, modules)));
        extensions.addExtension({
          name: `${NAME}:prompt-cells`,
          factory: ({ model }) =>
            EditorExtensionRegistry.createImmutableExtension(model.type === "code" ? extension : []),
        });
      },
    };
  }

  // ---- The container ----

  let scope;

  /** Return a module that JupyterLab shares: the version that runs, else the newest, as module federation does. */
  async function shared(name) {
    const versions = Object.entries(scope[name]).sort(([one], [other]) =>
      one.localeCompare(other, undefined, { numeric: true }));
    const entry = (versions.find(([, each]) => each.loaded) ?? versions.at(-1))[1];
    entry.loaded = 1;
    return (await entry.get())();
  }

  async function extension() {
    const [codemirror, language, state, view, highlight] = await Promise.all(
      ["@jupyterlab/codemirror", "@codemirror/language", "@codemirror/state", "@codemirror/view", "@lezer/highlight"]
        .map(shared),
    );
    return plugin({ codemirror, language, state, view, highlight });
  }

  (window._JUPYTERLAB ??= {})[NAME] = {
    init: (given) => {
      scope = given;
    },
    get: async () => {
      const made = await extension();
      return () => ({ __esModule: true, default: made });
    },
  };
})();
