; Walk: adds every tree's leaf for every row, sixteen ways abreast: of few rows a row's trees, of many a tree's rows.
; A way alone waits for memory at every node, and for the branch that was not foreseen: abreast they wait together, and none
; branches. A node is a float64 to compare with, the column whose cell is compared, and the place of the first of the two
; nodes beneath, which stand side by side: the second is taken where the cell is at least as large. A leaf is its value, a
; column that holds no number, and its own place, so whoever has come there stays. A row's cells are its features, rounded to
; float32 where the library does so, their negatives, one that holds no number, and its sums.

%node = type { double, i32, i32 }

define void @walk(ptr %nodes, ptr %roots, ptr %sums, i64 %trees, ptr %given, i64 %count, i64 %features, i1 %single, ptr %rows, i64 %width) {
start:
  %places = alloca [16 x i64]
  %few = icmp slt i64 %count, 4 ; from so many rows on, a tree that is in the cache is walked by all of them
  %outer = select i1 %few, i64 %count, i64 %trees
  %inner = select i1 %few, i64 %trees, i64 %count
  %row.step = select i1 %few, i64 0, i64 1
  %tree.step = select i1 %few, i64 1, i64 0
  %cell.step = select i1 %few, i64 0, i64 %width
  %no.number = shl i64 %features, 1
  %first.told = add i64 %no.number, 1
  br label %next.row

next.row:
  %r = phi i64 [ 0, %start ], [ %r.next, %row.there ]
  %rows.left = icmp slt i64 %r, %count
  br i1 %rows.left, label %fill, label %next.outer

fill:
  %given.first = mul i64 %r, %features
  %given.at = getelementptr double, ptr %given, i64 %given.first
  %row.start = mul i64 %r, %width
  %row.at = getelementptr double, ptr %rows, i64 %row.start
  %negatives.at = getelementptr double, ptr %row.at, i64 %features
  br label %each.cell

each.cell:
  %c = phi i64 [ 0, %fill ], [ %c.next, %each.cell ]
  %double.at = getelementptr double, ptr %given.at, i64 %c
  %double = load double, ptr %double.at
  %float = fptrunc double %double to float
  %rounded = fpext float %float to double
  %feature.value = select i1 %single, double %rounded, double %double
  %negative = fneg double %feature.value
  %cell.at = getelementptr double, ptr %row.at, i64 %c
  store double %feature.value, ptr %cell.at
  %negative.at = getelementptr double, ptr %negatives.at, i64 %c
  store double %negative, ptr %negative.at
  %c.next = add i64 %c, 1
  %cells.left = icmp slt i64 %c.next, %features
  br i1 %cells.left, label %each.cell, label %cells.there

cells.there:
  %no.number.at = getelementptr double, ptr %row.at, i64 %no.number
  store double 0x7FF8000000000000, ptr %no.number.at
  br label %zero

zero:
  %z = phi i64 [ %first.told, %cells.there ], [ %z.next, %zero ]
  %zero.at = getelementptr double, ptr %row.at, i64 %z
  store double 0.0, ptr %zero.at
  %z.next = add i64 %z, 1
  %zeros.left = icmp slt i64 %z.next, %width
  br i1 %zeros.left, label %zero, label %row.there

row.there:
  %r.next = add i64 %r, 1
  br label %next.row

next.outer:
  %a = phi i64 [ 0, %next.row ], [ %a.next, %end.inner ]
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
  %first.place = load i32, ptr %first.at
  %column = zext i32 %feature to i64
  %first = zext i32 %first.place to i64
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
