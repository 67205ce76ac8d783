package profile_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"
)

// TestSignaturesAreComparedInConstantTime: a clock cannot show it without
// flickering, so the source does. Verify compares by hmac.Equal alone, for
// every secret and every candidate: the loops are left early only when a secret
// of our own is unusable.
func TestSignaturesAreComparedInConstantTime(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "verify.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var loop *ast.RangeStmt
	equals := 0
	ast.Inspect(file, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.FuncDecl:
			return x.Name.Name == "Verify"
		case *ast.RangeStmt:
			if over, ok := x.X.(*ast.Ident); ok && over.Name == "secrets" {
				loop = x
			}
		}
		return true
	})
	if loop == nil {
		t.Fatal("Verify has no loop over the secrets; this test has to be written anew")
	}
	returns := 0
	ast.Inspect(loop, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.BranchStmt:
			t.Errorf("the loop is left or cut short by %s", x.Tok)
		case *ast.ReturnStmt:
			returns++
		case *ast.SelectorExpr:
			if pkg, ok := x.X.(*ast.Ident); ok && pkg.Name == "hmac" && x.Sel.Name == "Equal" {
				equals++
			}
		case *ast.BinaryExpr:
			if _, nilCheck := x.Y.(*ast.Ident); (x.Op == token.EQL || x.Op == token.NEQ) && !nilCheck {
				t.Errorf("something is compared by %s in the loop", x.Op)
			}
		}
		return true
	})
	if equals != 1 || returns != 1 {
		t.Errorf("hmac.Equal stands there %d times and return %d times; want one of each", equals, returns)
	}
}
