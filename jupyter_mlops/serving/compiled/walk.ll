; Walk: adds every tree's leaf for every row, sixteen ways abreast: of few rows a row's trees, of many a tree's rows.
; A way alone waits for memory at every node, and for the branch that was not foreseen: abreast they wait together, and none
; branches. A node is a float64 to compare with, the column whose cell is compared, and the place of the first of the two
; nodes beneath, which stand side by side: the second is taken where the cell is at least as large. A leaf is its value, a
; column that holds no number, and its own place, so whoever has come there stays. Sums stand at the end of a row's cells.

%node = type { double, i32, i32 }

define void @walk(ptr %nodes, ptr %roots, ptr %sums, i64 %trees, ptr %rows, i64 %count, i64 %width) {
start:
  %places = alloca [16 x i64]
  %few = icmp slt i64 %count, 4 ; from so many rows on, a tree that is in the cache is walked by all of them
  %outer = select i1 %few, i64 %count, i64 %trees
  %inner = select i1 %few, i64 %trees, i64 %count
  %row.step = select i1 %few, i64 0, i64 1
  %tree.step = select i1 %few, i64 1, i64 0
  %cell.step = select i1 %few, i64 0, i64 %width
  br label %next.outer

next.outer:
  %a = phi i64 [ 0, %start ], [ %a.next, %end.inner ]
  %outer.left = icmp slt i64 %a, %outer
  br i1 %outer.left, label %next.inner, label %end

next.inner:
  %b = phi i64 [ 0, %next.outer ], [ %b.next, %added ]
  %inner.left = icmp slt i64 %b, %inner
  br i1 %inner.left, label %set.off, label %end.inner

set.off:
  %rest = sub i64 %inner, %b
  %is.rest = icmp slt i64 %rest, 16
  %ways = select i1 %is.rest, i64 %rest, i64 16
  %row = select i1 %few, i64 %a, i64 %b
  %tree = select i1 %few, i64 %b, i64 %a
  %first.cell = mul i64 %row, %width
  %first.cells = getelementptr double, ptr %rows, i64 %first.cell
  br label %root

root:
  %way.root = phi i64 [ 0, %set.off ], [ %way.root.next, %root ]
  %trees.on = mul i64 %way.root, %tree.step
  %tree.root = add i64 %tree, %trees.on
  %root.at = getelementptr i64, ptr %roots, i64 %tree.root
  %root.told = load i64, ptr %root.at
  %place.root = getelementptr i64, ptr %places, i64 %way.root
  store i64 %root.told, ptr %place.root
  %way.root.next = add i64 %way.root, 1
  %roots.left = icmp slt i64 %way.root.next, %ways
  br i1 %roots.left, label %root, label %step

step:
  br label %visit

visit:
  %way = phi i64 [ 0, %step ], [ %way.next, %visit ]
  %moved = phi i64 [ 0, %step ], [ %moved.next, %visit ]
  %cells = phi ptr [ %first.cells, %step ], [ %cells.next, %visit ]
  %place = getelementptr i64, ptr %places, i64 %way
  %at = load i64, ptr %place
  %node.at = getelementptr %node, ptr %nodes, i64 %at
  %split = load double, ptr %node.at
  %feature.at = getelementptr %node, ptr %node.at, i64 0, i32 1
  %feature = load i32, ptr %feature.at
  %first.at = getelementptr %node, ptr %node.at, i64 0, i32 2
  %first.told = load i32, ptr %first.at
  %column = zext i32 %feature to i64
  %first = zext i32 %first.told to i64
  %cell = getelementptr double, ptr %cells, i64 %column
  %value = load double, ptr %cell
  %is.second = fcmp oge double %value, %split
  %second = zext i1 %is.second to i64
  %next = add i64 %first, %second
  store i64 %next, ptr %place
  %move = xor i64 %next, %at
  %moved.next = or i64 %moved, %move
  %cells.next = getelementptr double, ptr %cells, i64 %cell.step
  %way.next = add i64 %way, 1
  %ways.left = icmp slt i64 %way.next, %ways
  br i1 %ways.left, label %visit, label %stepped

stepped:
  %none.moved = icmp eq i64 %moved.next, 0
  br i1 %none.moved, label %leaf, label %step

leaf: ; one after the other: a row's trees are added in their order
  %way.leaf = phi i64 [ 0, %stepped ], [ %way.leaf.next, %leaf ]
  %place.leaf = getelementptr i64, ptr %places, i64 %way.leaf
  %at.leaf = load i64, ptr %place.leaf
  %node.leaf = getelementptr %node, ptr %nodes, i64 %at.leaf
  %adds = load double, ptr %node.leaf
  %trees.leaf = mul i64 %way.leaf, %tree.step
  %tree.leaf = add i64 %tree, %trees.leaf
  %sum.told.at = getelementptr i64, ptr %sums, i64 %tree.leaf
  %sum.told = load i64, ptr %sum.told.at
  %rows.leaf = mul i64 %way.leaf, %row.step
  %row.leaf = add i64 %row, %rows.leaf
  %row.first = mul i64 %row.leaf, %width
  %number = add i64 %row.first, %sum.told
  %sum.at = getelementptr double, ptr %rows, i64 %number
  %sum = load double, ptr %sum.at
  %more = fadd double %sum, %adds
  store double %more, ptr %sum.at
  %way.leaf.next = add i64 %way.leaf, 1
  %leaves.left = icmp slt i64 %way.leaf.next, %ways
  br i1 %leaves.left, label %leaf, label %added

added:
  %b.next = add i64 %b, 16
  br label %next.inner

end.inner:
  %a.next = add i64 %a, 1
  br label %next.outer

end:
  ret void
}
