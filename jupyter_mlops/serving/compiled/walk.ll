; Walk: adds every tree's leaf for every row: few rows one after the other, many together tree by tree.
; A node is a float64 to compare with, a feature's number (below 0 in a leaf; 2^30 more where a missing value goes left)
; and the place of the node on the right; that on the left is the next. Of a leaf they are its value and its target.

%node = type { double, i32, i32 }

define void @walk(ptr %nodes, ptr %roots, i64 %trees, ptr %rows, i64 %count, i64 %width, ptr %sums, i64 %targets) {
start:
  %few = icmp slt i64 %count, 4 ; from so many rows on, a tree that is in the cache is walked by all of them
  %outer = select i1 %few, i64 %count, i64 %trees
  %inner = select i1 %few, i64 %trees, i64 %count
  br label %next.outer

next.outer:
  %a = phi i64 [ 0, %start ], [ %a.next, %end.inner ]
  %outer.left = icmp slt i64 %a, %outer
  br i1 %outer.left, label %next.inner, label %end

next.inner:
  %b = phi i64 [ 0, %next.outer ], [ %b.next, %leaf ]
  %inner.left = icmp slt i64 %b, %inner
  br i1 %inner.left, label %tree, label %end.inner

tree:
  %row = select i1 %few, i64 %a, i64 %b
  %number = select i1 %few, i64 %b, i64 %a
  %root.at = getelementptr i64, ptr %roots, i64 %number
  %root = load i64, ptr %root.at
  %first.cell = mul i64 %row, %width
  %cells = getelementptr double, ptr %rows, i64 %first.cell
  br label %visit

visit:
  %at = phi i64 [ %root, %tree ], [ %left, %to.left ], [ %right, %to.right ]
  %node.at = getelementptr %node, ptr %nodes, i64 %at
  %split = load double, ptr %node.at
  %feature.at = getelementptr %node, ptr %node.at, i64 0, i32 1
  %feature = load i32, ptr %feature.at
  %right.at = getelementptr %node, ptr %node.at, i64 0, i32 2
  %right.told = load i32, ptr %right.at
  %right = sext i32 %right.told to i64
  %is.leaf = icmp slt i32 %feature, 0
  br i1 %is.leaf, label %leaf, label %compare

compare:
  %column.told = and i32 %feature, 1073741823
  %column = zext i32 %column.told to i64
  %cell = getelementptr double, ptr %cells, i64 %column
  %value = load double, ptr %cell
  %left = add i64 %at, 1
  %is.below = fcmp ole double %value, %split
  br i1 %is.below, label %to.left, label %above

above:
  %is.missing = fcmp uno double %value, %value
  %missing.left = icmp sge i32 %feature, 1073741824
  %goes.left = and i1 %is.missing, %missing.left
  br i1 %goes.left, label %to.left, label %to.right

to.left:
  br label %visit

to.right:
  br label %visit

leaf:
  %first.sum = mul i64 %row, %targets
  %target = add i64 %first.sum, %right
  %sum.at = getelementptr double, ptr %sums, i64 %target
  %sum = load double, ptr %sum.at
  %more = fadd double %sum, %split
  store double %more, ptr %sum.at
  %b.next = add i64 %b, 1
  br label %next.inner

end.inner:
  %a.next = add i64 %a, 1
  br label %next.outer

end:
  ret void
}
