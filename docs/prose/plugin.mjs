import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import GithubSlugger from 'github-slugger';
import { glossary } from './glossary.mjs';

const terms = glossary.map(([pattern, instead]) => ({
  pattern: new RegExp(pattern.source.replaceAll(' ', '\\s+'), `${pattern.flags}gm`),
  instead,
}));

/** Reports each term of the glossary in a part of a file. */
function reportTerms(context, start, text) {
  for (const { pattern, instead } of terms)
    for (const { index, 0: found } of text.matchAll(pattern))
      context.report({
        loc: {
          start: context.sourceCode.getLocFromIndex(start + index),
          end: context.sourceCode.getLocFromIndex(start + index + found.length),
        },
        message: `"${found.replace(/\s+/g, ' ').trim()}": write ${instead}.`,
      });
}

/** The glossary, in the text of documents and in the comments and strings of programs. */
const glossaryRule = {
  meta: { type: 'suggestion', languages: ['*'], schema: [] },
  create(context) {
    const { sourceCode } = context;
    const reportNode = (node) =>
      reportTerms(context, sourceCode.getRange(node)[0], sourceCode.getText(node));
    return {
      text: reportNode,
      Program() {
        for (const comment of sourceCode.getAllComments())
          reportTerms(context, comment.range[0], sourceCode.text.slice(...comment.range));
      },
      Literal: (node) => typeof node.value === 'string' && reportNode(node),
      TemplateElement: reportNode,
    };
  },
};

/** Anchors that GitHub gives to the headings of a document. */
function anchors(path) {
  const slugger = new GithubSlugger();
  const text = readFileSync(path, 'utf8').replace(/^(`{3,}|~{3,}).*?^\1/gms, '');
  return new Set(
    [...text.matchAll(/^#{1,6} (.*)$/gm)].map(([, heading]) =>
      slugger.slug(heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')),
    ),
  );
}

/** Links to files and headings of the repository lead somewhere. */
const linksRule = {
  meta: { type: 'problem', languages: ['markdown/*'], schema: [] },
  create(context) {
    function check(node) {
      if (/^[a-z]+:/.test(node.url)) return;
      const [path, anchor] = node.url.split('#');
      const target = path ? resolve(dirname(context.filename), path) : context.filename;
      const fault = !existsSync(target)
        ? 'no such file'
        : anchor && !(statSync(target).isFile() && anchors(target).has(anchor))
          ? 'no such heading'
          : undefined;
      if (fault) context.report({ node, message: `${node.url}: ${fault}` });
    }
    return { link: check, image: check, definition: check };
  },
};

/** Lines that fit, except in tables that a program writes. */
const widthRule = {
  meta: { type: 'layout', languages: ['markdown/*'], schema: [{ type: 'number' }] },
  create(context) {
    const [limit] = context.options;
    return {
      root() {
        let isMade = false;
        let wasLong = false;
        context.sourceCode.lines.forEach(({ length }, index, lines) => {
          const line = lines[index];
          if (line.startsWith('<!-- ')) isMade = /made by|lengths:/.test(line);
          const isLong = length > limit && !isMade;
          // Rows of a table are alike: the first one stands for all.
          if (isLong && !wasLong)
            context.report({
              loc: {
                start: { line: index + 1, column: limit + 1 },
                end: { line: index + 1, column: length + 1 },
              },
              message: `${length} columns: at most ${limit} fit.`,
            });
          wasLong = isLong;
        });
      },
    };
  },
};

export default {
  meta: { name: 'prose' },
  rules: { glossary: glossaryRule, links: linksRule, width: widthRule },
};
