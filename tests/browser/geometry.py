"""What can be computed of a picture in a page: nothing overlaps, nothing is cut, and every word can be read.

    page.evaluate(MISPLACED, selector)
    page.evaluate(PALE, selector)

return a sentence for each fault below the first element that the selector finds, so none where all is well. What is
not painted (hidden, transparent, folded away, or only for a screen reader) is left out.
"""

from __future__ import annotations

_WORDS = r"""selector => {
    const root = document.querySelector(selector), faults = new Set();
    const zoom = root.currentCSSZoom ?? 1, slack = 1.5 * zoom, page = document.documentElement.clientWidth;
    const styles = new Map();
    const styleOf = node => styles.get(node) ?? styles.set(node, getComputedStyle(node)).get(node);
    const upward = function* (node) { for (; node && node.nodeType === 1; node = node.parentElement) yield node; };
    const inside = function* (node) { for (const each of upward(node)) { yield each; if (each === root) return; } };

    const painted = element => {
        if (element.closest('style, script, title, desc, defs, template, option')) return false;
        if (!element.checkVisibility({opacityProperty: true, visibilityProperty: true})) return false;
        return ![...inside(element)].some(each => {
            const box = each.getBoundingClientRect(), look = styleOf(each);
            return look.overflow !== 'visible' && look.position === 'absolute' && box.width <= 2 && box.height <= 2;
        });
    };

    // Words: one for each line of each text node, with its place.
    const words = [];
    const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const node = walk.currentNode, said = node.data.trim(), element = node.parentElement;
        if (!said || !painted(element)) continue;
        const range = document.createRange();
        const from = node.data.indexOf(said), isMark = !/[\p{L}\p{N}]/u.test(said);
        range.setStart(node, from);
        range.setEnd(node, from + said.length);
        for (const box of range.getClientRects())
            if (box.width > .5 && box.height > .5) words.push({said: said.slice(0, 50), element, box, isMark});
    }

"""

MISPLACED = (
    _WORDS
    + r"""
    // Nothing overlaps: a letter's box has some room above and below, which two lines may share.
    const core = ({left, right, top, bottom}) => {
        const room = (bottom - top) * .22;
        return {left, right, top: top + room, bottom: bottom - room};
    };
    const cores = words.map(each => core(each.box));
    for (let one = 0; one < words.length; one++)
        for (let two = one + 1; two < words.length; two++) {
            if (words[one].isMark && words[two].isMark) continue;  // of those many stand close together
            const a = cores[one], b = cores[two];
            if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > slack
                && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 0)
                faults.add(`«${words[one].said}» and «${words[two].said}» overlap`);
        }

    // Nothing is cut, and every word is inside its box.
    const clips = value => value !== 'visible';
    for (const {said, element, box, isMark} of words) {
        if (box.left < -slack || box.right > page + slack) faults.add(`«${said}» is outside the page`);
        for (const each of inside(element)) {
            const look = styleOf(each);
            const isPicture = each.tagName === 'svg' && !each.ownerSVGElement;
            if (each.ownerSVGElement || (isPicture && !clips(look.overflow))) continue;
            if (!isPicture && ['contents', 'inline'].includes(look.display)) continue;
            const edge = each.getBoundingClientRect(), name = each.className.baseVal ?? each.className;
            const across = box.left < edge.left - slack || box.right > edge.right + slack;
            const room = slack + box.height * .3;
            const along = box.top < edge.top - room || box.bottom > edge.bottom + room;
            if (across && !isMark) faults.add(`«${said}» is wider than its ${each.tagName.toLowerCase()}.${name}`);
            if (along && !isMark && (clips(look.overflowY) || isPicture))
                faults.add(`«${said}» is cut by its ${each.tagName.toLowerCase()}.${name}`);
        }
    }
    for (const each of new Set(words.flatMap(({element}) => [...inside(element)]))) {
        const look = styleOf(each);
        if (clips(look.overflowX) && each.clientWidth && each.scrollWidth > each.clientWidth + slack)
            faults.add(`«${each.textContent.trim().slice(0, 50)}» is cut: ${each.scrollWidth} > ${each.clientWidth}`);
    }

    return [...faults];
}"""
)
"""Finds words that overlap, are cut, or leave their box or the page."""

PALE = (
    _WORDS
    + r"""
    // Every word can be read: what is painted below it is laid over each other, at five places of its length.
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    canvas.canvas.width = canvas.canvas.height = 1;
    const known = new Map();
    const numbers = colour => {
        if (!known.has(colour)) {
            canvas.clearRect(0, 0, 1, 1);
            canvas.fillStyle = colour;
            canvas.fillRect(0, 0, 1, 1);
            const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
            known.set(colour, [r, g, b, a / 255]);
        }
        return known.get(colour);
    };
    const over = ([r, g, b, a], paper) => [r, g, b].map((value, place) => value * a + paper[place] * (1 - a));
    const channel = value => value <= 10.31 ? value / 255 / 12.92 : ((value / 255 + .055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
    const opacity = element => [...upward(element)].reduce((known, each) => known * styleOf(each).opacity, 1);
    const dimmed = ([r, g, b, a], by) => [r, g, b, a * by];
    const shape = 'rect, path, circle, ellipse, polygon, polyline, line';
    const layersOf = each => {
        const look = styleOf(each), dim = opacity(each);
        if (each.matches(shape)) {
            const fill = look.fill === 'none' ? [] : [dimmed(numbers(look.fill), dim * look.fillOpacity)];
            const line = look.stroke === 'none' ? [] : [dimmed(numbers(look.stroke), dim * look.strokeOpacity)];
            return [...fill, ...line].filter(([, , , a]) => a > 0).slice(0, 1);
        }
        if (each.ownerSVGElement) return [];
        const stops = look.backgroundImage.match(/(?:rgba?|color|oklab|color-mix)\([^()]*\)/g) ?? [];
        const layers = [look.backgroundColor, ...stops].map(colour => dimmed(numbers(colour), dim));
        return layers.filter(([, , , a]) => a > 0);
    };
    const ratio = (ink, paper) => {
        const [more, less] = [light(over(ink, paper)), light(paper)].sort((x, y) => y - x);
        return (more + .05) / (less + .05);
    };
    const papersAt = (x, box) => {
        let papers = [[255, 255, 255]];
        for (const each of document.elementsFromPoint(x, box.top + box.height / 2).reverse()) {
            if (each.matches('text, tspan')) continue;
            const layers = layersOf(each);
            if (layers.length) papers = layers.flatMap(layer => papers.map(paper => over(layer, paper)));
        }
        return papers;
    };
    const least = isMark => isMark ? 3 : 4.5;
    for (const {said, element, box, isMark} of words) {
        const look = styleOf(element), text = element.closest('text, tspan') !== null;
        const ink = dimmed(numbers(text ? look.fill : look.color), opacity(element));
        if (ink[3] === 0) continue;
        const papers = [.1, .3, .5, .7, .9].flatMap(along => papersAt(box.left + box.width * along, box));
        const halo = look.paintOrder.startsWith('stroke') && parseFloat(look.strokeWidth) >= 2;
        if (text && halo && look.stroke !== 'none') {
            const behind = numbers(look.stroke);
            papers.splice(0, papers.length, ...papers.map(paper => over(behind, paper)));
        }
        const worst = Math.min(...papers.map(paper => ratio(ink, paper)));
        if (worst < least(isMark)) faults.add(`«${said}» has a contrast of ${worst.toFixed(2)}`);
    }
    return [...faults];
}"""
)
"""Finds words with a contrast of less than 4.5 to 1, and marks with one of less than 3, against what is below them."""
