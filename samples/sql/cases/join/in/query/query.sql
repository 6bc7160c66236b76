
			-- the dearest tea of each country
			SELECT t.country, t.name, t.price, harvests
			FROM teas t JOIN countries c ON c.country = t.country
			WHERE price = (SELECT max(price) FROM teas WHERE country = t.country)
			ORDER BY 1;