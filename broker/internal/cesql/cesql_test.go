package cesql

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestErrorsOfCompile(t *testing.T) {
	const operand = "expected an attribute, a literal, a function, NOT, EXISTS, a minus sign or an opening parenthesis"
	for _, test := range []struct{ text, want string }{
		{"", "column 1: found the end, " + operand},
		{"a = ", "column 5: found the end, " + operand},
		{"a = )", `column 5: found ")", ` + operand},
		{"é", "column 1: found 'é', which means nothing outside of quotes"},
		{"a = 'é' $", "column 9: found '$', which means nothing outside of quotes"},
		{"a = 1\n  AND\n  b !", "line 3, column 5: found '!', which means nothing outside of quotes"},
		{"a = 'x", `column 5: found "'x", expected a ' at the end of the string`},
		{`a = "x\"`, `column 5: found "\"x\\\"", expected a " at the end of the string`},
		{"a = 1 1", `column 7: found "1", expected an operator or the end`},
		{"a b", `column 3: found "b", expected an operator or the end`},
		{"(a", "column 3: found the end, expected an operator or a closing parenthesis"},
		{"a)", `column 2: found ")", expected an operator or the end`},
		{"a LIKE b", `column 8: found "b", expected a pattern in quotes`},
		{"a NOT = b", `column 7: found "=", expected LIKE or IN after a NOT that is between operands`},
		{"a IN b", `column 6: found "b", expected the values of IN in parentheses`},
		{"a IN ()", `column 7: found ")", ` + operand},
		{"a IN (1", "column 8: found the end, expected an operator, a comma or a closing parenthesis"},
		{"EXISTS 'a'", `column 8: found "'a'", expected the name of an attribute after EXISTS`},
		{"EXISTS true", `column 8: found "true", expected the name of an attribute after EXISTS`},
		{"EXISTS a_b", `column 8: found "a_b", expected the name of an attribute, which has no underscore`},
		{"a_b = 1", `column 1: found "a_b", expected the name of an attribute, which has no underscore`},
		{"a AND AND b", `column 7: found "AND", ` + operand},
		{"1 + + a", `column 7: found "a", expected the digits of an integer behind the plus sign`},
		{"99999999999 = 1", "column 1: found 99999999999, expected an integer from -2147483648 to 2147483647"},
		{"1 = -2147483649", "column 5: found -2147483649, expected an integer from -2147483648 to 2147483647"},
		{"- 2147483648", "column 3: found 2147483648, expected an integer from -2147483648 to 2147483647"},
		{"+ 5", `column 3: found "5", expected the digits of an integer behind the plus sign`},
		{"b = 1 AND a = nothing(a, TRIM(a))", "column 15: found NOTHING, expected one of the functions ABS, BOOL, CONCAT, CONCAT_WS, INT, IS_BOOL, IS_INT, LEFT, LENGTH, LOWER, RIGHT, STRING, SUBSTRING, TRIM, UPPER"},
		{"trim(a, b)", "column 1: number of arguments of TRIM: found 2, expected 1"},
		{"SUBSTRING(a)", "column 1: number of arguments of SUBSTRING: found 1, expected 2 or 3"},
		{"CONCAT_WS()", "column 1: number of arguments of CONCAT_WS: found 0, expected 1 or more"},
		{"a = '" + strings.Repeat("x", LongestText) + "'", "the text has 4102 bytes, and may have 4096"},
		{"\xff\xfe", "the text is not UTF-8"},
		{strings.Repeat("(", 4000), "column 102: more than 100 parentheses, calls, NOT and minus signs are inside of each other"},
		{strings.Repeat("NOT ", 1000), "column 405: more than 100 parentheses, calls, NOT and minus signs are inside of each other"},
	} {
		x, err := Compile(test.text)
		if err == nil || err.Error() != test.want {
			t.Errorf("%.40q: %v, %v, want %q", test.text, x, err, test.want)
		}
		if !errors.Is(err, ErrParse) && !errors.Is(err, ErrMissingFunction) {
			t.Errorf("%.40q: %v is no kind of error", test.text, err)
		}
	}
}

// What a word longer than any message is in is told in a line.
func TestErrorsAreShort(t *testing.T) {
	long := strings.Repeat("x", 4000)
	for _, text := range []string{long + " " + long, "'" + long, long + "(", long + "()", "EXISTS '" + long[:3900] + "'", "1 = " + strings.Repeat("9", 4000), "'" + long + "' + 1"} {
		x, err := Compile(text)
		if err == nil {
			_, err = x.Evaluate(with(nil))
		}
		if err == nil || len(err.Error()) > 300 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.10q: %v", text, err)
		}
	}
}

func TestErrorsOfEvaluate(t *testing.T) {
	for _, test := range []struct {
		text, want string
		kind       error
	}{
		{"1 = a + b", `column 5: "x" is no Integer`, ErrCast},
		{"NOT (b OR a)", `column 6: "7" is no Boolean`, ErrCast},
		{"b IN (1, 2,\n a)", "", nil},
		{"INT(b) IN (1, 2,\n a)", `line 2, column 2: "x" is no Integer`, ErrCast},
		{"b = 7 AND missing = 'x'", "column 11: the event has no attribute missing", ErrMissingAttribute},
		{"b / (b - 7)", "column 3: division of 7 by zero", ErrMath},
		{"2147483647 * b", "column 12: 15032385529 is no Integer, which has 32 bits", ErrMath},
		{"-2147483648 / -1", "column 13: 2147483648 is no Integer, which has 32 bits", ErrMath},
		{"- -2147483648", "column 3: 2147483648 is no Integer, which has 32 bits", ErrMath},
		{"LEFT(a, -b)", "column 9: LEFT has the length -7, and takes 0 and more", ErrFunctionEvaluation},
		{"RIGHT(a, -b)", "column 10: RIGHT has the length -7, and takes 0 and more", ErrFunctionEvaluation},
		{"SUBSTRING(a, b)", "column 14: SUBSTRING has the position 7 of a string of 1 characters", ErrFunctionEvaluation},
		{"SUBSTRING(a, 1, -b)", "column 17: SUBSTRING has the length -7, and takes 0 and more", ErrFunctionEvaluation},
		{"CONCAT(" + strings.Repeat("big,", 100) + "big)", "column 1: the strings have more than 1048576 bytes together", ErrFunctionEvaluation},
	} {
		x, err := Compile(test.text)
		if err != nil {
			t.Fatal(err)
		}
		_, err = x.Evaluate(with(attributes{"a": "x", "b": "7", "big": strings.Repeat("x", 1<<16)}))
		if (err == nil) != (test.want == "") || err != nil && (err.Error() != test.want || !errors.Is(err, test.kind)) {
			t.Errorf("%.40q: %v, want %q", test.text, err, test.want)
		}
	}
}

func TestValues(t *testing.T) {
	for text, want := range map[string]Value{
		// Integers and signs.
		"1-1": ofInt(0), "b-1": ofInt(6), "b -1": ofInt(6), "-1a": ofInt(-3), "+5 - -5": ofInt(10), "---5": ofInt(-5), "-2147483648": ofInt(-1 << 31),
		// Precedence, and order without one.
		"2 + 3 * 4 - 5 - 1": ofInt(8), "1 + 2 = 3 AND 8 / 4 / 2 = 1": ofBool(true), "NOT FALSE = TRUE": ofBool(true), "-b + 1": ofInt(-6),
		"'true' = 'y' LIKE 'y'": ofBool(true), "1 < 2 = TRUE": ofBool(true), "b IN (7) LIKE 'true'": ofBool(true),
		"FALSE AND TRUE OR TRUE": ofBool(false), "TRUE XOR TRUE OR missing": ofBool(false), "TRUE XOR FALSE AND missing": ofBool(true),
		// Characters.
		"LENGTH('é€')": ofInt(2), "LEFT('é€x', 2)": ofText("é€"), "RIGHT('é€x', 2)": ofText("€x"), "SUBSTRING('é€x', 2, 1)": ofText("€"),
		"SUBSTRING('é€x', -2)": ofText("€x"), "'é' LIKE '_'": ofBool(true), "'aé€' LIKE '%__'": ofBool(true), "'aé€' LIKE '____'": ofBool(false),
		"'aaaxb' LIKE '%aa_b%'": ofBool(true),
		// Strings.
		`'it''s'`: ofText("it''s"), `'a\\'`: ofText(`a\\`), `'a\n'`: ofText(`a\n`), `'\''`: ofText("'"), `"\""`: ofText(`"`), "'a\nb'": ofText("a\nb"),
		`'a%b' LIKE 'a%'`: ofBool(true), `'\x' LIKE '\%'`: ofBool(false), `'\%' LIKE '\\%'`: ofBool(true), `'%x' LIKE '\%_'`: ofBool(true),
		// Casts.
		"1000 = '1000'": ofBool(true), "'01' = 1": ofBool(true), "'+1' = 1": ofBool(true), "1 = '01'": ofBool(false), "IS_INT('2147483648')": ofBool(false),
		"IS_INT('')": ofBool(false), "IS_INT('-')": ofBool(false), "IS_BOOL('falſe')": ofBool(false), "IS_INT(TRUE)": ofBool(true), "-1 = '-1'": ofBool(true),
		"CONCAT_WS(1, a, TRUE, -1)": ofText("x1true1-1"), "CONCAT()": ofText(""),
		// Names in capitals, names like functions, names of digits.
		"A": ofText("x"), "left": ofText("l"), "left (LEFT, 1)": ofText("l"), "1a": ofText("3"), "EXISTS 1": ofBool(true), "EXISTS 2": ofBool(false),
	} {
		x, err := Compile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := x.Evaluate(with(attributes{"a": "x", "b": "7", "left": "l", "1a": "3", "1": ""})); err != nil || got != want {
			t.Errorf("%s: %#v, %v, want %#v", text, got, err, want)
		}
	}
}

// LIKE finds what a regular expression finds.
func TestLikeAgainstRegexp(t *testing.T) {
	pieces := map[string]string{"%": "(?s:.*)", "_": "(?s:.)", `\%`: "%", `\_`: "_", `\`: `\\`, "a": "a", "b": "b", "aa": "aa", "é": "é", "\n": "\n"}
	piece := rapid.SampledFrom([]string{"%", "_", `\%`, `\_`, "a", "b", "aa", "é", "\n"})
	rapid.Check(t, func(t *rapid.T) {
		like, expression := "", ""
		for _, p := range rapid.SliceOfN(piece, 0, 8).Draw(t, "pattern") {
			like += p
			expression += pieces[p]
		}
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "é", "%", "_", `\`, "\n"}), 0, 12).Draw(t, "text"), "")
		if got, want := compilePattern(like).match(text), regexp.MustCompile("^(?:"+expression+")$").MatchString(text); got != want {
			t.Fatalf("%q LIKE %q is %v", text, like, got)
		}
	})
}

// What is as long or as deep as it may be is compiled and evaluated.
func TestDeepExpressions(t *testing.T) {
	a := with(attributes{"a": "true", "b": strings.Repeat("x", 1<<16-1), "n": "1"})
	for name, text := range map[string]string{
		"parentheses": strings.Repeat("(", DeepestNesting) + "a" + strings.Repeat(")", DeepestNesting),
		"NOT":         strings.Repeat("NOT ", DeepestNesting) + "a",
		"minus":       "0 = " + strings.Repeat("-", DeepestNesting) + "0",
		"functions":   strings.Repeat("TRIM(", DeepestNesting) + "a" + strings.Repeat(")", DeepestNesting),
		"XOR":         "a" + strings.Repeat(" XOR a", 680),
		"sum":         "2000 < n" + strings.Repeat("+n", 2040),
		"LIKE":        "NOT a = (b LIKE '%" + strings.Repeat("x_", 1000) + "y')",
	} {
		x, err := Compile(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		value, err := x.Evaluate(a)
		if ok, isBoolean := value.Boolean(); !ok || !isBoolean || err != nil {
			t.Errorf("%s: %v, %v", name, value, err)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	shared, err := Compile("n IN (1, 2) AND type LIKE '_%'")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 20 {
				own, err := Compile(fmt.Sprintf("n = 1 AND %d < %d AND NOT EXISTS a%d", i, i+j+1, j))
				if err != nil {
					t.Error(err)
					return
				}
				for _, x := range []*Expression{shared, own} {
					if value, err := x.Evaluate(with(attributes{"n": "1"})); value != ofBool(true) || err != nil {
						t.Errorf("%v, %v", value, err)
					}
				}
			}
		})
	}
	all.Wait()
}

func TestComparisonsDoNotAllocate(t *testing.T) {
	a := with(attributes{"subject": "order/4711", "n": "1000", "flag": "true"})
	for _, text := range []string{
		"type = 't' AND subject LIKE 'order/%'", "n >= 1000 AND n % 7 != 0", "1000 = n", "subject IN ('a', 'b') OR n IN (1, 1000)", "NOT flag = FALSE XOR EXISTS time",
		"LENGTH(subject) > 3 AND LEFT(subject, 5) = 'order'", "INT(n) < 2000 AND TRIM(subject) <> ''", "missing = 'x'", "(- n + 2) * 3 < 0",
	} {
		x, err := Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { _, _ = x.Evaluate(a) }); n > 0 {
			t.Errorf("%s allocates %v times", text, n)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for name, text := range map[string]string{
		"short": "type = 'com.example.order' AND subject LIKE 'order/%'",
		"4 KiB": "type = 'x'" + strings.Repeat(" OR type = 'x'", 290),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Compile(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
