package samples_test

import (
	"fmt"
	"maps"
	"slices"
)

// failsWith is a case whose function ends with an exit code.
func failsWith(code int, t tree) tree {
	t["case.json"] = fmt.Appendf(nil, "{\"exit_code\": %d}\n", code)
	return t
}

// must is for files of the reference itself.
func must(p picture, err error) picture {
	if err != nil {
		panic(err)
	}
	return p
}

// imageFolders are the case folders of the functions for images and of their
// compositions.
func imageFolders() map[string]tree {
	kinds := tree{}
	for i, kind := range pngKinds {
		f := pngForm{width: 5 + i, height: 9, colour: kind.colour, depth: kind.depth, interlaced: i%2 == 1, filter: 5, transparency: kind.colour < greyAlpha, level: 9, noise: 120, seed: uint64(i)}
		name := fmt.Sprintf("type-%d/depth-%d.png", kind.colour, kind.depth)
		kinds["in/images/"+name], kinds["out/pixels/"+name] = f.file(), must(decoded(f.file())).pixels()
	}
	disc := photo(2, 40, 30)
	for i := range disc.rgba {
		if i%4 == 3 && disc.rgba[i-3] != 230 && disc.rgba[i-2] != 230 && disc.rgba[i-1] != 230 {
			disc.rgba[i] = byte(i / 40) // transparent, more or less, around the disc
		}
	}
	kinds["in/images/opaque.qoi"], kinds["out/pixels/opaque.qoi"] = qoi(photo(1, 20, 10)), photo(1, 20, 10).pixels()
	kinds["in/images/transparent.qoi"], kinds["out/pixels/transparent.qoi"] = qoi(disc), disc.pixels()

	scales := func(p picture, size string, width, height int) tree {
		return tree{"in/pixels/p": p.pixels(), "in/size/size": []byte(size), "out/pixels/p": scaled(p, width, height).pixels()}
	}
	damagedPNG := photo(3, 20, 20).png()
	damagedPNG[len(damagedPNG)/2] ^= 1
	notPixels := photo(1, 3, 3).pixels()[:20]

	folders := map[string]tree{
		"image-decode/cases/every-kind":     kinds,
		"image-decode/cases/no-image":       failsWith(1, tree{"in/images/notes.png": []byte("These are notes.\n")}),
		"image-decode/cases/damaged":        failsWith(2, tree{"in/images/a.png": damagedPNG}),
		"image-decode/cases/cut":            failsWith(2, tree{"in/images/a.qoi": qoi(disc)[:300]}),
		"image-decode/cases/too-large":      failsWith(3, tree{"in/images/a.png": pngChunk([]byte(pngSignature), "IHDR", pngHeader(1<<31-1, 1<<31-1, 8, rgb, 0))}),
		"image-thumbnail/cases/square":      scales(photo(1, 40, 30), "16\n", 16, 16),
		"image-thumbnail/cases/box":         scales(photo(1, 40, 30), "100x7", 100, 7),
		"image-thumbnail/cases/transparent": scales(disc, "11x50", 11, 50),
		"image-thumbnail/cases/small":       scales(photo(1, 10, 12), "12", 12, 12),
		"image-thumbnail/cases/line":        scales(photo(1, 200, 1), "9", 9, 9),
		"image-thumbnail/cases/no-size":     failsWith(2, tree{"in/pixels/p": photo(1, 3, 3).pixels(), "in/size/size": []byte("large")}),
		"image-thumbnail/cases/no-image":    failsWith(1, tree{"in/pixels/p": notPixels, "in/size/size": []byte("2")}),
		"image-encode/cases/several": {
			"in/pixels/opaque": photo(1, 40, 30).pixels(), "out/images/opaque": qoi(photo(1, 40, 30)),
			"in/pixels/transparent": disc.pixels(), "out/images/transparent": qoi(disc),
			"in/pixels/one-colour": newPicture(70, 9).pixels(), "out/images/one-colour": qoi(newPicture(70, 9)),
		},
		"image-encode/cases/no-image": failsWith(1, tree{"in/pixels/p": notPixels}),
		"image-sheet/cases/several": {
			"in/pixels/a": photo(1, 8, 6).pixels(), "in/pixels/b": photo(2, 5, 9).pixels(), "in/pixels/c": photo(3, 2, 2).pixels(),
			"out/sheet/sheet": sheetOf(photo(1, 8, 6), photo(2, 5, 9), photo(3, 2, 2)).pixels(),
		},
		"image-sheet/cases/no-image": failsWith(1, tree{"in/pixels/a": photo(1, 8, 6).pixels(), "in/pixels/p": notPixels}),
	}

	// Of the compositions, whose functions have cases of their own.
	images := map[string]picture{"beach.png": photo(4, 64, 48), "beach/sunset.png": photo(5, 30, 70), "logo.qoi": disc, "plain.png": photo(6, 12, 12)}
	in := tree{"in/size/size": []byte("24x20")}
	thumbnails, small := tree{}, []picture{}
	for _, name := range slices.Sorted(maps.Keys(images)) { // as the items of a folder are
		p := images[name]
		in["in/images/"+name] = p.png()
		if name == "logo.qoi" {
			in["in/images/"+name] = qoi(p)
		}
		small = append(small, scaled(p, 24, 20))
		thumbnails["out/thumbnails/"+name] = qoi(scaled(p, 24, 20))
	}
	with := func(trees ...tree) tree {
		all := tree{}
		for _, t := range trees {
			maps.Copy(all, t)
		}
		return all
	}
	folders["thumbnails/cases/photos"] = with(in, thumbnails)
	folders["thumbnails/cases/no-images"] = tree{"in/size/size": []byte("24x20")}
	folders["thumbnails/cases/damaged"] = failsWith(2, with(in, tree{"in/images/damaged.png": damagedPNG}))
	folders["gallery/cases/photos"] = with(in, thumbnails, tree{"out/sheet/sheet": qoi(sheetOf(small...))})
	return folders
}
