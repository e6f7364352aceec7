// The keys of a tree: up and down between its items, left and right to close and open, home and end.

/** Act on a key; whether it was one of ours. */
export function moveFocus(tree: HTMLElement, event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement;
  const items = [...tree.querySelectorAll<HTMLElement>('[role="treeitem"]')];
  const inside = items.find(item => item === target || item.contains(target));
  const at = inside ? items.indexOf(inside) : -1;
  if (event.ctrlKey || event.altKey || event.metaKey) {
    return false;
  }
  if (target !== inside) {
    // in a button of a row or of its details: Escape leads back to the row
    if (event.key === 'Escape') {
      return focus(items, inside ?? before(items, target));
    }
    return false;
  }
  switch (event.key) {
    case 'ArrowDown':
      return focus(items, items[at + 1]);
    case 'ArrowUp':
      return focus(items, items[at - 1]);
    case 'Home':
      return focus(items, items[0]);
    case 'End':
      return focus(items, items[items.length - 1]);
    case 'ArrowRight':
      if (inside.getAttribute('aria-expanded') === 'false') {
        inside.click();
        return true;
      }
      return focus(items, items[at + 1]);
    case 'ArrowLeft':
      if (inside.getAttribute('aria-expanded') === 'true') {
        inside.click();
        return true;
      }
      return focus(items, heading(items, at));
    default:
      return false;
  }
}

function focus(
  items: readonly HTMLElement[],
  item: HTMLElement | undefined
): boolean {
  if (item !== undefined) {
    for (const other of items) {
      other.setAttribute('tabindex', other === item ? '0' : '-1');
    }
    item.focus();
  }
  return true;
}

/** The heading an item stands under. */
function heading(
  items: readonly HTMLElement[],
  at: number
): HTMLElement | undefined {
  return items
    .slice(0, at)
    .reverse()
    .find(item => item.getAttribute('aria-level') === '1');
}

/** The last item that comes before an element on the page. */
function before(
  items: readonly HTMLElement[],
  element: HTMLElement
): HTMLElement | undefined {
  return [...items]
    .reverse()
    .find(
      item =>
        item.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING
    );
}
